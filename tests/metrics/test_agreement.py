"""Agreement with scikit-learn and torchmetrics, and the differences that docs/metrics.md tells."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torchmetrics.functional.retrieval import retrieval_average_precision

from bitcodes.metrics.compat import average_precision_over_hits
from bitcodes.metrics.ranking import average_precision, average_precision_bounds

BITS = 300


def untied(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Distances that all differ, which are relevant, and the histograms of both."""
    rng = np.random.default_rng(seed)
    distances = rng.permutation(BITS + 1)[:80]
    hits = rng.random(80) < 0.2
    total = np.bincount(distances, minlength=BITS + 1)[None]
    relevant = np.bincount(distances[hits], minlength=BITS + 1)[None]
    return distances, hits, total, relevant


@pytest.mark.parametrize("seed", range(5))
def test_without_ties_all_agree(seed: int) -> None:
    distances, hits, total, relevant = untied(seed)
    ours = average_precision(total, relevant)[0]
    assert average_precision_score(hits, -distances) == pytest.approx(ours, abs=1e-12)
    scores = torch.from_numpy(BITS + 1.0 - distances)
    theirs = retrieval_average_precision(scores, torch.from_numpy(hits))
    assert float(theirs) == pytest.approx(ours, abs=1e-6)
    # With top_k, torchmetrics divides by the hits found there.
    theirs = retrieval_average_precision(scores, torch.from_numpy(hits), top_k=20)
    assert float(theirs) == pytest.approx(
        average_precision_over_hits(total, relevant, 20)[0][0], abs=1e-6
    )


def test_with_ties_they_differ_as_documented() -> None:
    total, relevant = [[4]], [[2]]
    assert average_precision(total, relevant)[0] == pytest.approx(0.6806, abs=5e-5)
    worst, best = average_precision_bounds(total, relevant)
    assert (worst[0], best[0]) == (pytest.approx(0.4167, abs=5e-5), 1)
    assert average_precision_score([1, 1, 0, 0], [0, 0, 0, 0]) == 0.5
    # torchmetrics: scores of 0 or less count as irrelevant, whatever the target says.
    hits = torch.tensor([True, True, False])
    assert retrieval_average_precision(torch.tensor([-1.0, -2.0, -3.0]), hits) == 0
