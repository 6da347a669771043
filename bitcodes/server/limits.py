"""How much one request may ask for, and how many may wait."""

MAX_BYTES = 32 << 20
"""Bytes of the body of a request."""
MAX_PIXELS = 64_000_000
"""Pixels of an image that is searched for: while it is decoded, it takes 8 bytes for each."""
MAX_QUERIES = 64
"""Queries of a request."""
MAX_K = 1_000
"""Results per query."""
MAX_RADIUS = 1 << 20
"""Distance; larger than that of any two codes."""
MAX_SHORTLIST = 10_000
"""Images that are re-ranked per query."""
MAX_TEXT = 4_096
"""Characters of a path, a pattern, a label or a code."""
MAX_SECONDS = 30.0
"""Time that a request may take, waiting included."""
MAX_WAITING = 256
"""Searches, or images, that wait for their turn; more get the status 503."""
MAX_SCAN = 64
"""Queries that are put together into one scan."""
MAX_BATCH = 8
"""Images that are put together into one batch of the encoder."""
MAX_GROUPS = 200
"""Groups of duplicates, or images without a search, in one answer."""
MAX_SHOWN = 60
"""Images of a cluster in an answer."""
CACHED_BYTES = 64 << 20
"""Bytes of thumbnails that are kept in memory."""
SIZES = {"small": 160, "medium": 320, "large": 1024}
"""Pixels of the sides of thumbnails."""
