"""Side-by-side measurements of the hot paths: ratios against peers in the same run, never absolute promises."""
