"""Linear addresses to physical ones: the modes of paging, and none."""
