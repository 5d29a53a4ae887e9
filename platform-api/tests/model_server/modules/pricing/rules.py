def surcharge(age: float) -> float:
    return 0.25 if age < 25 else 0.0
