"""Numbers of things in words."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: "1 image", "2,880 images"; `plural` if it is not noun + s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
