"""The one way in which a model is turned away."""


class Refused(Exception):
    """The model cannot be built or served; `code` is stable for programs, `sentence` is for the person who logged it."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
