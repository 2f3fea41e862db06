"""labctl-prober SPEC.json [--once]: asks a lab's services, from its client node, how they are.

Without ``--once`` it asks until everything in the specification answers and says a JSON line at
each change; the specification is read anew when it changes, and ``"final": true`` in it says
that nothing more will come. With ``--once`` it asks everything once, inspects every cluster, and
says one JSON document.
"""

import json
import sys

import clusters
import probes
import watch


def main(arguments: list[str]) -> int:
    """Run; the exit code."""
    words = [word for word in arguments if word != "--once"]
    if len(words) != 1:
        sys.stderr.write("usage: labctl-prober SPEC.json [--once]\n")
        return 2
    if "--once" not in arguments:
        return watch.watch(words[0])
    with open(words[0], encoding="utf-8") as file:  # noqa: PTH123 - pathlib is slow to import
        spec = json.load(file)
    json.dump(once(spec), sys.stdout)
    sys.stdout.write("\n")
    return 0


def once(spec: dict) -> dict:
    """Every probe's answer and every cluster's state, all asked at the same time."""
    asked = {
        **{("probe", probe["id"]): (probes.ask, probe) for probe in spec["probes"]},
        **{("cluster", c["kind"]): (clusters.inspect, c, spec["vip"]) for c in spec["clusters"]},
        ("vip", ""): (probes.ask, {"host": spec["vip"], "ping": {}}),
    }
    answers = probes.together(asked)
    return {
        "probes": {
            name: {"ready": answer[0], "detail": answer[1]}
            for (what, name), answer in answers.items()
            if what == "probe"
        },
        "clusters": {name: a for (what, name), a in answers.items() if what == "cluster"},
        "vip": {"answers": answers["vip", ""][0]},
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
