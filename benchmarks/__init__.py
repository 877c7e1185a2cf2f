"""Benchmarks: what wc-intercept costs, as ratios taken side by side in one run. ``python -m benchmarks`` runs all."""
