"""URLs of stores: which names mean one, and the store that one names."""

from typing import TYPE_CHECKING

from bitcodes.errors import CodeSetError

if TYPE_CHECKING:  # whether a name is a URL must be known before anything is loaded
    from bitcodes.databases.store import Store

_SCHEMES = ("postgresql://", "postgres://", "milvus:", "lance:")


def is_store_url(name: object) -> bool:
    """Whether a name is the URL of a store, not a file."""
    return isinstance(name, str) and name.lower().startswith(_SCHEMES)


def open_store(url: str, table: str | None = None) -> "Store":
    """Connect to the store at a URL; `table` stands in for the one that the URL names.

    CodeSetError if the database cannot be reached. Whether it holds a set shows when it is read.
    """
    if url.lower().startswith("milvus:"):
        try:
            from bitcodes.databases.milvus.store import MilvusStore
        except ImportError:
            raise CodeSetError("Milvus needs pymilvus: pip install 'bitcodes[milvus]'") from None
        return MilvusStore(url, table)
    if url.lower().startswith("lance:"):
        try:
            from bitcodes.databases.lance.store import LanceStore
        except ImportError:
            raise CodeSetError("Lance needs pylance: pip install 'bitcodes[lance]'") from None
        return LanceStore(url, table)
    try:
        from bitcodes.databases.postgres.store import PostgresStore
    except ImportError:
        raise CodeSetError("PostgreSQL needs psycopg: pip install 'bitcodes[postgres]'") from None
    return PostgresStore(url, table)
