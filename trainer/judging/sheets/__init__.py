"""The parts of a model card's page: markup that cannot be broken out of, drawings, and one module a chapter."""
