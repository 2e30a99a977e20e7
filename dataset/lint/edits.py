"""How many letters one text is away from another."""

from __future__ import annotations


def edit_distance(first: str, second: str, most: int, *, swaps: bool = False) -> int:
    """Letters to be put in, taken out or replaced (Levenshtein); more than ``most`` is most + 1.

    Only a band of the table is filled, since what is further off cannot come back.

    Args:
        first: one text.
        second: the other.
        most: what is still of interest.
        swaps: count two neighbours that changed places as one edit (optimal string alignment, the
            restricted Damerau-Levenshtein distance), and not as two.
    """
    if abs(len(first) - len(second)) > most:
        return most + 1
    older: list[int] = []
    before = list(range(len(second) + 1))
    for row, letter in enumerate(first, start=1):
        low, high = max(1, row - most), min(len(second), row + most)
        line = [most + 1] * (len(second) + 1)
        line[0] = row
        for column in range(low, high + 1):
            other = second[column - 1]
            best = min(
                before[column - 1] + (letter != other), before[column] + 1, line[column - 1] + 1
            )
            swapped = swaps and row > 1 and column > 1 and (
                letter == second[column - 2] and first[row - 2] == other
            )
            line[column] = min(best, older[column - 2] + 1) if swapped else best
        # A swap reaches back two lines: only where both are too far off is all of it.
        if min(line[low - 1 : high + 1]) > most and (not swaps or min(before) > most):
            return most + 1
        older, before = before, line
    return min(before[-1], most + 1)
