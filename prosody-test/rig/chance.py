"""Whether measurements differ by more than chance."""

import random
from collections.abc import Mapping, Sequence


def alike(rounds: Sequence[Mapping[str, float]], draws: int = 20_000) -> float:
    """How probable it is that what was measured under several names, once each in every round, differs by chance at least so much.

    Friedman's test: ranks within each round, so that what slows a whole round down says nothing; its distribution by permutation.
    """
    names = list(rounds[0])
    ranks = [_ranks([each[name] for name in names]) for each in rounds]
    seen = _spread(ranks)
    chance = random.Random(1)
    as_far = sum(_spread([chance.sample(each, len(each)) for each in ranks]) >= seen for _ in range(draws))
    return (as_far + 1) / (draws + 1)


def _ranks(values: Sequence[float]) -> list[int]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0] * len(values)
    for rank, place in enumerate(order):
        ranks[place] = rank
    return ranks


def _spread(ranks: Sequence[Sequence[int]]) -> int:
    return sum(sum(column) ** 2 for column in zip(*ranks, strict=True))
