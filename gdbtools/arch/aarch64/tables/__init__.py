"""Translation table descriptors: their fields, levels and memory types, and how tables look in memory."""
