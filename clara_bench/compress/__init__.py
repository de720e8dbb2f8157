"""Text compressors: passages in, a shorter text out."""
