from ..third_party.conftest import site

__all__ = ["site"]
