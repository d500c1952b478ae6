"""segrank."""
