"""An independent implementation of CLaRa (arXiv 2511.18659), trained with DeepSpeed and plugged into clara-bench."""
