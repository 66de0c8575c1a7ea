"""`insitu demo`: the whole main job on real data, each step told with its result, its time and how to repeat it."""
