"""Banks: transfers move money between accounts, and the total never changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from labctl.chaos.checks.finding import Finals, Settings, ended, kept, quote, unknown
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Aspect, Evidence, Finding

FINDS = ("lost", "members agree", "negative", "total conserved")


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """Check the total in every snapshot and at the end, lost transfers, debts, and agreement.

    A ``read`` answers {account: balance}; finals: place → {account: balance}. Settings: ``total``,
    or ``accounts`` and ``balance``; ``negative`` allows debts; ``locking`` as the clients use it.
    """
    reads = [op for op in ended(operations, "ok") if op.f == "read" and _is_books(op.answer)]
    books = {n: b for n, b in dict(finals or {}).items() if _is_books(b)}
    if not reads and not books:
        return [unknown("total conserved", "no account was read, so nothing was tested")]
    transfers = [op for op in ended(operations, "ok") if op.f == "transfer"]
    if not transfers:
        return [unknown("total conserved", "no transfer was acknowledged, so nothing was tested")]
    total = _total(settings, reads, books)
    seen = [(quote(op, ""), op.answer) for op in reads]
    seen += [(Evidence(f" at the end on {name}", value=b), b) for name, b in books.items()]
    return [
        _conserved(seen, total, len(transfers)),
        _lost(operations, books, settings),
        *_debts(seen, settings),
        *_agreement(books),
    ]


def _is_books(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(balance, (int, float)) for balance in value.values())
    )


def _total(
    settings: Settings, reads: Sequence[Operation], books: Mapping[str, Mapping[str, Any]]
) -> float:
    """The total, as set; else as first read."""
    if "total" in settings:
        return float(settings["total"])
    if "accounts" in settings and "balance" in settings:
        return float(settings["accounts"] * settings["balance"])
    first = min(reads, key=lambda op: op.began).answer if reads else next(iter(books.values()))
    return float(sum(first.values()))


def _conserved(
    seen: Sequence[tuple[Evidence, Mapping[str, Any]]], total: float, transfers: int
) -> Finding:
    wrong = [(piece, sum(book.values())) for piece, book in seen if sum(book.values()) != total]
    counts = {"snapshots": len(seen), "acknowledged": transfers, "wrong": len(wrong)}
    if not wrong:
        why = f"{len(seen)} snapshots have a total of {total:g}, after {transfers} transfers"
        return kept("total conserved", why, "isolated", **counts)
    return Finding(
        "total conserved",
        broken=True,
        why=f"{len(wrong)} of {len(seen)} snapshots do not have a total of {total:g}: the first has"
        f" {wrong[0][1]:g}",
        aspect="isolated",
        counts=counts,
        evidence=[
            Evidence(f"a total of {amount:g}{piece.said}", piece.t, piece.p, piece.f, piece.value)
            for piece, amount in wrong
        ],
    )


def _lost(
    operations: Sequence[Operation], books: Mapping[str, Mapping[str, Any]], settings: Settings
) -> Finding:
    """Balances that the transfers cannot add up to: lost transfers do not change the total."""
    if not books:
        return unknown("lost", "the accounts were not read at the end")
    if "balance" not in settings:
        return unknown("lost", "the accounts' balances at the beginning are unknown")
    least: Counter[str] = Counter()
    most: Counter[str] = Counter()
    transfers = [op for op in operations if op.f == "transfer" and op.end != "fail"]
    for op in transfers:
        for account, amount in ((op.asked["from"], -op.asked["amount"]), _received(op)):
            least[str(account)] += amount if op.end == "ok" else min(amount, 0)
            most[str(account)] += amount if op.end == "ok" else max(amount, 0)
    start = settings["balance"]
    wrong = [
        Evidence(f"account {account} on {name} should have {_span(low, high)}", value=balance)
        for name, book in books.items()
        for account, balance in sorted(book.items())
        for low, high in [(start + least[account], start + most[account])]
        if not low <= balance <= high
    ]
    counts = {"acknowledged": sum(op.end == "ok" for op in transfers), "wrong": len(wrong)}
    # Without locks one of two transfers may undo the other, which is not a loss of durability.
    aspect: Aspect = "durable" if settings.get("locking", True) else "isolated"
    if not wrong:
        why = f"the balances are what {counts['acknowledged']} acknowledged transfers add up to"
        return kept("lost", why, aspect, **counts)
    why = f"{wrong[0].said}, and has {wrong[0].value:g}: acknowledged transfers are lost"
    return Finding("lost", True, why, aspect, counts, wrong)


def _received(transfer: Operation) -> tuple[Any, Any]:
    return transfer.asked["to"], transfer.asked["amount"]


def _span(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _debts(seen: Sequence[tuple[Evidence, Mapping[str, Any]]], settings: Settings) -> list[Finding]:
    if settings.get("negative"):
        return []
    wrong = [piece for piece, book in seen if min(book.values()) < 0]
    if not wrong:
        return [kept("negative", "no account is below zero", "isolated")]
    why = f"{len(wrong)} of {len(seen)} snapshots have an account below zero"
    return [Finding("negative", True, why, "isolated", {"wrong": len(wrong)}, wrong)]


def _agreement(books: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    if len(books) < 2:
        return []
    if len({tuple(sorted(book.items())) for book in books.values()}) == 1:
        return [kept("members agree", f"{', '.join(books)} have the same balances")]
    return [
        Finding(
            "members agree",
            broken=True,
            why=f"{', '.join(books)} have different balances at the end",
            aspect="always",
            evidence=[Evidence(f"on {name}", value=book) for name, book in books.items()],
        )
    ]
