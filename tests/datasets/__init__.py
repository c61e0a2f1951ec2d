"""Tests of `masklet.datasets`. The folder is not called so, as other packages look for a `datasets` on the path."""
