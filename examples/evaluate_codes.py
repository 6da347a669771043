"""Evaluate two stored code sets from Python, and show the queries with the worst results.

python examples/evaluate_codes.py queries.npy database.npy
"""

import sys

import numpy as np

from bitcodes import CodeSet, evaluate


def main(queries_file: str, database_file: str) -> None:
    """Print mAP with its interval, mAP by class, and the three queries with the worst results."""
    queries, database = CodeSet.open(queries_file), CodeSet.open(database_file)
    evaluation = evaluate(queries=queries, database=database)

    low, high = evaluation.intervals["map"]
    print(f"mAP {evaluation.figures['map']:.4f} (95 % interval {low:.4f} to {high:.4f})")
    for entry in evaluation.classes:
        print(f"  {entry.name:12} {entry.map:.4f}")

    # Every figure is a mean over the queries. The scores are the values of the single queries.
    scores = evaluation.scores["map"]  # (queries,)
    for row in np.argsort(scores)[:3]:
        print(f"worst: {queries.paths[row]} with average precision {scores[row]:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
