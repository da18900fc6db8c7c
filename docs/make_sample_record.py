"""Write docs/sample_record.html and its picture afresh: python docs/make_sample_record.py. Runs the demo (1 to 2 minutes)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
SIZE = "900,900"


def main() -> None:
    """Run the demo in a folder of its own, and take its deployment's page without the names of this machine's folders."""
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary) / "shop"
        safemig = [sys.executable, "-m", "safemig", "demo", "--keep", str(project)]
        subprocess.run(safemig, check=True, env={**os.environ, "SAFEMIG_BY": "dba"})
        (page,) = (project / "records/production").glob("*-migrate_prod-DEPLOYED.html")
        text = page.read_text(encoding="utf-8")
        names = {str(project): "/srv/shop", temporary: "/srv", sysconfig.get_path("data"): "/opt/venv"}
        for found, shown in (names | {f"free at {tempfile.gettempdir()}": "free at /srv"}).items():
            text = text.replace(found, shown)
        text = re.sub(r"/[\w/]+/safemig-demo-\w+", "/srv/shop/server", text)  # the folder of the server's socket
    (DOCS / "sample_record.html").write_text(text, encoding="utf-8")
    if chromium := shutil.which("chromium"):
        picture = DOCS / "images/record.png"
        command = [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--window-size={SIZE}",
        ]
        subprocess.run([*command, f"--screenshot={picture}", (DOCS / "sample_record.html").as_uri()], check=True)


if __name__ == "__main__":
    main()
