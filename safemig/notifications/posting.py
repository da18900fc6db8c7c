"""Post JSON to a URL, once, within a time limit."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

from safemig.notifications.channels import PATIENCE_S, Undelivered


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None  # it would be asked with GET and without the event


def post(url: str, body: bytes) -> None:
    """Post `body`, and wait for the answer.

    Raises:
        Undelivered: the server cannot be reached, did not answer in time, or answered anything but 2xx.
    """
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "safemig"}
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310  http or https, as the caller saw
    late = Undelivered(f"took longer than {PATIENCE_S:g} s", is_final=True)
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=PATIENCE_S):
            pass
    except urllib.error.HTTPError as error:
        error.close()
        raise Undelivered(f"the server answered {error.code}") from None
    except TimeoutError:
        raise late from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise late from None
        raise Undelivered(getattr(error.reason, "strerror", None) or "the server cannot be reached") from None
    except (OSError, ValueError) as error:  # a broken answer, a URL that cannot be asked
        raise Undelivered(type(error).__name__) from None
