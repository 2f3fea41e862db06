"""Banks: transfers move money between accounts, and the total never changes.

A snapshot must be what the transfers before it add up to, with some of those beside it. Which ones
these are is unknown, so each account has a range; where they are few, all choices are tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from labctl.chaos.checks.finding import Finals, Settings, ended, kept, quote, shown, unknown
from labctl.chaos.checks.transfers import Ledger
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Aspect, Evidence, Finding

FINDS = ("lost", "members agree", "negative", "total conserved", "accounts", "snapshots", "stale")

Book = Mapping[str, Any]


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """Check accounts, total and transfers in every snapshot and at the end, debts, and agreement.

    A ``read`` answers {account: balance}; finals: place → {account: balance}. Settings: ``total``,
    or ``accounts`` and ``balance``; ``negative`` allows debts; ``locking`` as the clients use it.
    """
    reads = [op for op in ended(operations, "ok") if op.f == "read"]
    ends = {n: b for n, b in dict(finals or {}).items() if isinstance(b, Mapping)}
    if not reads and not ends:
        return [unknown("total conserved", "no account was read, so nothing was tested")]
    seen = [(quote(op, ""), op.answer) for op in reads]
    seen += [(Evidence(f" at the end on {name}", value=b), b) for name, b in ends.items()]
    members = _accounts(seen, settings)
    sound = [op for op in reads if _is_book(op.answer)]
    books = {name: book for name, book in ends.items() if _is_book(book)}
    transfers = [op for op in ended(operations, "ok") if op.f == "transfer"]
    if not transfers:
        missing = unknown("total conserved", "no transfer was acknowledged: nothing was tested")
        return [missing, *([members] if members.broken else ())]
    whole = [each for each in seen if _is_book(each[1])]
    if not whole:
        return [members, unknown("total conserved", "no snapshot has balances to add up")]
    total = _total(settings, sound, books)
    lost = _lost(operations, books, settings)
    return [
        _conserved(whole, total, len(transfers)),
        lost,
        *_snapshots(
            operations,
            [op for op in sound if sum(op.answer.values()) == total],
            settings,
            durable=not lost.broken,
        ),
        *_debts(whole, settings),
        members,
        *_agreement(ends),
    ]


def _is_book(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(balance, (int, float)) for balance in value.values())
    )


def _accounts(seen: Sequence[tuple[Evidence, Any]], settings: Settings) -> Finding:
    """Accounts that are missing or too many, or have no balance: they are never closed."""
    known = next((set(map(str, book)) for _, book in seen if _is_book(book)), set())
    if "accounts" in settings:
        known = {str(number) for number in range(int(settings["accounts"]))}
    wrong = []
    for piece, book in seen:
        named = set(map(str, book)) if isinstance(book, Mapping) else set()
        empty = {n for n in named & known if not isinstance(book[n], (int, float))}
        for what, names in (
            ("missing", known - named),
            ("unknown", named - known),
            ("without a balance", empty),
        ):
            if names:
                said = f"{what}: {shown(names)}{piece.said}"
                wrong.append(Evidence(said, piece.t, piece.p, piece.f, piece.value))
                break
        else:
            if not named:
                wrong.append(Evidence(f"no account{piece.said}", piece.t, piece.p, piece.f))
    counts = {"snapshots": len(seen), "wrong": len(wrong)}
    if not wrong:
        return kept("accounts", f"{len(seen)} snapshots have all {len(known)} accounts", **counts)
    why = f"{len(wrong)} of {len(seen)} snapshots lack accounts or balances: {wrong[0].said}"
    return Finding("accounts", True, why, "always", counts, wrong)


def _snapshots(
    operations: Sequence[Operation],
    reads: Sequence[Operation],
    settings: Settings,
    *,
    durable: bool,
) -> list[Finding]:
    """Snapshots that no transfers add up to: stale ones, and those of no moment at all.

    Where transfers are lost in the end too, a snapshot that misses them is no finding of its own.
    """
    if "balance" not in settings or not reads:
        return []
    ledger = Ledger(operations, float(settings["balance"]))
    stale, strange = [], []
    for op in reads:
        ends = inf if op.ended is None else op.ended
        if ledger.explains(op.answer, op.began, ends):
            continue
        if ledger.was_before(op.answer, op.began):
            stale.append(quote(op, "what it was before transfers that had been acknowledged"))
        else:
            strange.append(quote(op, "no choice of the transfers adds up to this"))
    counts = {"snapshots": len(reads), "stale": len(stale), "wrong": len(strange)}
    aspect: Aspect = "isolated" if durable else "durable"
    if strange:
        why = f"{len(strange)} of {len(reads)} snapshots are not what any transfers add up to"
        found = Finding("snapshots", True, why, aspect, counts, strange)
    else:
        why = f"{len(reads)} snapshots are what transfers add up to"
        found = kept("snapshots", why, "isolated", **counts)
    if not stale:
        return [found]
    why = f"{len(stale)} of {len(reads)} snapshots miss transfers acknowledged before they began"
    return [found, Finding("stale", True, why, "fresh" if durable else "durable", counts, stale)]


def _total(settings: Settings, reads: Sequence[Operation], books: Mapping[str, Book]) -> float:
    """The total, as set; else as first read."""
    if "total" in settings:
        return float(settings["total"])
    if "accounts" in settings and "balance" in settings:
        return float(settings["accounts"] * settings["balance"])
    first = min(reads, key=lambda op: op.began).answer if reads else next(iter(books.values()))
    return float(sum(first.values()))


def _conserved(seen: Sequence[tuple[Evidence, Book]], total: float, transfers: int) -> Finding:
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
    operations: Sequence[Operation], books: Mapping[str, Book], settings: Settings
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
    ledger = Ledger(operations, float(start))
    wrong = [
        Evidence(f"account {account} on {name} should have {_span(low, high)}", value=balance)
        for name, book in books.items()
        for account, balance in sorted(book.items())
        for low, high in [(start + least[account], start + most[account])]
        if not low <= balance <= high
    ] or [
        Evidence(f"the transfers do not add up to the accounts on {name}", value=book)
        for name, book in books.items()
        if not ledger.explains(book, inf, inf)
    ]
    counts = {"acknowledged": sum(op.end == "ok" for op in transfers), "wrong": len(wrong)}
    # Without locks one of two transfers may undo the other, which is not a loss of durability.
    aspect: Aspect = "durable" if settings.get("locking", True) else "isolated"
    if not wrong:
        why = f"the balances are what {counts['acknowledged']} acknowledged transfers add up to"
        return kept("lost", why, aspect, **counts)
    has = f", and has {wrong[0].value:g}" if isinstance(wrong[0].value, (int, float)) else ""
    why = f"{wrong[0].said}{has}: acknowledged transfers are lost"
    return Finding("lost", True, why, aspect, counts, wrong)


def _received(transfer: Operation) -> tuple[Any, Any]:
    return transfer.asked["to"], transfer.asked["amount"]


def _span(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _debts(seen: Sequence[tuple[Evidence, Book]], settings: Settings) -> list[Finding]:
    if settings.get("negative"):
        return []
    wrong = [piece for piece, book in seen if min(book.values()) < 0]
    if not wrong:
        return [kept("negative", "no account is below zero", "isolated")]
    why = f"{len(wrong)} of {len(seen)} snapshots have an account below zero"
    return [Finding("negative", True, why, "isolated", {"wrong": len(wrong)}, wrong)]


def _agreement(books: Mapping[str, Book]) -> list[Finding]:
    if len(books) < 2:
        return []
    if len({tuple(sorted(book.items(), key=str)) for book in books.values()}) == 1:
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
