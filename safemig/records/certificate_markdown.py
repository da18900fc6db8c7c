"""The certificate as Markdown, for the first cell of a record: as JupyterLab, VS Code and GitHub show it."""

from __future__ import annotations

import re

from safemig.records.certificate import Certificate, Proof
from safemig.records.certificate_changes import Change

_MEANS_SOMETHING = re.compile(r"([\\`*_{}\[\]<>#|$~&])")


def as_markdown(certificate: Certificate) -> str:
    """Return the certificate as Markdown; whatever comes from migrations or databases is text in it, never markup."""
    lines = [f"# {certificate.word} · {_text(certificate.title)}", "", _text(certificate.subtitle), ""]
    if certificate.error:
        lines += [f"> {_text(line)}  " for line in certificate.error] + [""]
    for fact in certificate.facts:
        words = f"[{_text(fact.words)}]({fact.url})" if fact.url else _text(fact.words)
        lines.append(f"- **{fact.name}**: {words}")
    if certificate.changes:
        # No table: a long file name would leave no room for the rest, and GitHub cuts it off.
        lines += ["", f"**{certificate.changes_title}**", ""]
        lines += [_change(each) for each in certificate.changes]
    if certificate.proofs:
        lines += ["", "**Evidence**", "", "| | Proof | Figures | |", "|:--|:--|:--|:--|"]
        lines += [_proof(each) for each in certificate.proofs]
    if certificate.accepted:
        lines += ["", f"> **Accepted by name**: {_text('; '.join(certificate.accepted))}"]
    if certificate.would_lose:
        lines += ["", f"> **A rollback would lose**: {_text('; '.join(certificate.would_lose))}"]
    return "\n".join(lines)


def _change(change: Change) -> str:
    lock = f"  \n  strongest lock: {_text(change.lock)}" if change.lock else ""
    return f"- {_text(change.file)}  \n  {_text(change.does)}{lock}"


def _proof(proof: Proof) -> str:
    link = f"[details](#{proof.section})" if proof.mark != "not reached" else ""
    return f"| {proof.sign} | **{proof.name}** | {_text(proof.words)} | {link} |"


def _text(text: str) -> str:
    return _MEANS_SOMETHING.sub(r"\\\1", " ".join(text.split()))
