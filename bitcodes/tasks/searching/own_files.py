"""Searches that leave the query's own file out of its results."""

from dataclasses import replace

from bitcodes.tasks.searching.results import Hit, QueryResult, SearchResults
from bitcodes.tasks.searching.searcher import Terms


def one_more(terms: Terms) -> Terms:
    """Terms that find one hit more than these, in place of the query's own file."""
    terms = terms.completed()
    return terms if terms.k is None else replace(terms, k=terms.k + 1)


def without_own(results: SearchResults) -> SearchResults:
    """The results of a search of `one_more`, without the queries' own files; by absolute path."""
    k = None if results.k is None else results.k - 1
    queries = []
    for query in results.queries:
        others = [hit for hit in query.hits if hit.file is None or hit.file != query.file]
        hits = tuple(replace(hit, rank=rank) for rank, hit in enumerate(others[:k], 1))
        query = replace(query, hits=hits)
        if len(others) > len(hits):  # its own file was not among them
            query = _cut(query, others[len(hits)], results)
        queries.append(query)
    return replace(results, k=k, queries=tuple(queries))


def _cut(query: QueryResult, next_one: Hit, results: SearchResults) -> QueryResult:
    """A query before whose hit `next_one` its list was cut."""
    if results.radius is not None:
        return replace(query, more=True)
    if results.reranked is not None:
        return query
    last = query.hits[-1]
    if (last.distance, last.instance_distance) != (next_one.distance, next_one.instance_distance):
        return replace(query, tied=False, ties=None)
    is_counted = query.ties is not None or not query.tied
    return replace(query, tied=True, ties=1 + (query.ties or 0) if is_counted else None)
