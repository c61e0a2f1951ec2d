"""Other packages' interfaces on masklet's engines, for code that was written for them."""
