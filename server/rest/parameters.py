"""Parameters of paths, as OpenAPI explains them; what they may be is checked by whoever uses them."""

from typing import Annotated

from fastapi import Path

ModelName = Annotated[str, Path(description="Name of the model.", examples=["churn"])]
Version = Annotated[str, Path(description="A version number, or an alias.", examples=["3", "canary"])]
VersionNumber = Annotated[str, Path(description="A version number.", examples=["3"])]
Alias = Annotated[str, Path(description="Name of the alias.", examples=["production"])]
