"""From scores to labels and pictures: the grid, the label map, the overlay."""
