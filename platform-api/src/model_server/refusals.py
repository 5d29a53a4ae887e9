"""The one way in which a model is turned away."""


class Refused(Exception):  # noqa: N818 - a refusal is a verdict of the build, not a fault of the program
    """The model cannot be built or served; `code` is stable for programs, `sentence` is for the person who logged it."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
