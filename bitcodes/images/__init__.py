"""Images: any file or bytes becomes an upright RGB image, then the pixels that a network sees."""
