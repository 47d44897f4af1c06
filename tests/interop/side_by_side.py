"""The suite's outcomes for two targets in one table, a line for each of its suites."""

from suite import FAMILIES, OUTCOMES, count


def print_table(targets):
    """Prints what `{"target": {"family": {"Suite.Test": outcome}}}` holds, and the totals."""
    names = "".join(f"  {name:>{len(columns(OUTCOMES))}}" for name in targets)
    print(f"\n{'':28}{names}\n{'':28}" + f"  {columns(OUTCOMES)}" * len(targets))
    for family in FAMILIES:
        for suite in suites(targets, family):
            tests = [of_suite(found[family], suite) for found in targets.values()]
            print(line(f"{family}.{suite}", tests))
    for family in FAMILIES:
        print(line(f"all of {family}", [found[family].values() for found in targets.values()]))


def suites(targets, family):
    """The suites in the order they ran."""
    names = (name.split(".")[0] for found in targets.values() for name in found[family])
    return dict.fromkeys(names)


def of_suite(found, suite):
    return [outcome for name, outcome in found.items() if name.split(".")[0] == suite]


def line(name, targets):
    return f"{name:28}" + "".join(f"  {columns(count(outcomes))}" for outcomes in targets)


def columns(cells):
    return " ".join(f"{cell:>7}" for cell in cells)
