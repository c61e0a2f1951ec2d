"""Official `sam2.modeling`: only `sam2_base`, for annotations; the modules themselves are in `masklet.model`."""
