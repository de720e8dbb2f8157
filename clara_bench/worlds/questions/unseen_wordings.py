"""Templates of questions that occur in dev worlds of version 2 alone: data only.

They use other words and another order than `wordings`, so that a score on them does not rest on question forms that
were practised. Slots as there.
"""

from __future__ import annotations

UNSEEN_ASKS: dict[str, str] = {
    "person.occupation": "Name the line of work of {x}.",
    "person.born": "Give the birth year of {x}.",
    "person.birthplace": "Name the city that {x} came from by birth.",
    "person.father": "Name the man who was father to {x}.",
    "person.mother": "Name the woman who was mother to {x}.",
    "person.spouse": "Name the husband or wife of {x}.",
    "person.hobby": "Tell me the favourite pastime of {x}.",
    "person.residence": "Name the city in which {x} made a home.",
    "person.awarded": "Name the city in which the {q} was handed to {x}.",
    "city.country": "Name the country that includes {x}.",
    "city.mayor": "Tell me who heads the city government of {x}.",
    "city.founded": "Give the founding year of {x}.",
    "city.population": "Give the number of inhabitants of {x}.",
    "city.known_for": "Tell me the speciality of {x}.",
    "city.river": "Name the river on whose banks one finds {x}.",
    "city.architect": "Tell me whose design was used for the town hall of {x}.",
    "country.capital": "Name the seat of government of {x}.",
    "country.president": "Tell me who is head of state of {x}.",
    "country.currency": "Name the money that is used in {x}.",
    "country.language": "Name the language of the state in {x}.",
    "country.independence": "Give the year of independence of {x}.",
    "country.anthem": "Tell me whose melody is the national anthem of {x}.",
    "company.founder": "Tell me who set up {x}.",
    "company.headquarters": "Name the city that houses the head office of {x}.",
    "company.founded": "Give the founding year of {x}.",
    "company.product": "Tell me what one can buy from {x}.",
    "company.employees": "Give the size of the workforce of {x}.",
    "company.award": "Name the award that is paid for by {x}.",
    "company.chief": "Tell me who is at the head of {x}.",
    "film.director": "Tell me who was in the director's chair for {x}.",
    "film.year": "Give the release year of {x}.",
    "film.studio": "Name the company behind {x}.",
    "film.genre": "Tell me what sort of film {x} is.",
    "film.setting": "Name the city that serves as the scene of {x}.",
    "film.minutes": "Give the length in minutes of {x}.",
    "film.star": "Tell me who has the main part in {x}.",
    "film.composer": "Tell me whose music one hears in {x}.",
    "band.singer": "Tell me whose voice one hears with {x}.",
    "band.city": "Name the city in which {x} got together.",
    "band.year": "Give the founding year of {x}.",
    "band.genre": "Tell me the musical style of {x}.",
    "band.label": "Name the company that puts out the albums of {x}.",
    "band.drummer": "Tell me who is on drums in {x}.",
    "book.author": "Tell me from whose pen {x} came.",
    "book.year": "Give the publication year of {x}.",
    "book.publisher": "Name the company that brought out {x}.",
    "book.subject": "Tell me the theme of {x}.",
    "book.pages": "Give the page count of {x}.",
    "book.setting": "Name the city that serves as the scene of {x}.",
    "book.illustrator": "Tell me who drew the pictures for {x}.",
    "river.explorer": "Tell me who made the first map of {x}.",
    "river.mapped": "Give the year of the first map of {x}.",
    "river.length": "Give the number of kilometres that {x} measures.",
    "river.fish": "Name the fish that is common in {x}.",
    "river.dam": "Name the company in charge of the dam on {x}.",
    "river.bridge": "Tell me whose design was used for the longest bridge of {x}.",
}

UNSEEN_DESCRIPTIONS: dict[str, str] = {
    "person.birthplace": "the city of birth of {x}",
    "person.father": "the man who was father to {x}",
    "person.mother": "the woman who was mother to {x}",
    "person.spouse": "the husband or wife of {x}",
    "person.residence": "the adopted home city of {x}",
    "person.awarded": "the city where the {q} was handed to {x}",
    "city.country": "the country that includes {x}",
    "city.mayor": "the head of the city government of {x}",
    "city.river": "the river on whose banks one finds {x}",
    "city.architect": "the designer of the town hall of {x}",
    "country.capital": "the seat of government of {x}",
    "country.president": "the head of state of {x}",
    "country.anthem": "the author of the national anthem of {x}",
    "company.founder": "the person who set up {x}",
    "company.headquarters": "the city that houses the head office of {x}",
    "company.award": "award paid for by {x}",
    "company.chief": "the person at the head of {x}",
    "film.director": "the person in the director's chair for {x}",
    "film.studio": "the company behind {x}",
    "film.setting": "the city that serves as the scene of {x}",
    "film.star": "the person with the main part in {x}",
    "film.composer": "the person whose music one hears in {x}",
    "band.singer": "the person whose voice one hears with {x}",
    "band.city": "the city of origin of {x}",
    "band.label": "the company that puts out the albums of {x}",
    "band.drummer": "the person on drums in {x}",
    "book.author": "the person from whose pen came {x}",
    "book.publisher": "the company that brought out {x}",
    "book.setting": "the city that serves as the scene of {x}",
    "book.illustrator": "the person who drew the pictures for {x}",
    "river.explorer": "the person who made the first map of {x}",
    "river.dam": "the company in charge of the dam on {x}",
    "river.bridge": "the designer of the longest bridge of {x}",
}

UNSEEN_SAME: dict[str, str] = {
    "person.birthplace": "Is one city the birthplace of both {a} and {b}?",
    "person.occupation": "Was one profession shared by {a} and {b}?",
    "person.father": "Was one man the father of both {a} and {b}?",
    "city.country": "Does one country include both {a} and {b}?",
    "city.river": "Does one river flow through both {a} and {b}?",
    "company.headquarters": "Is one city the base of both {a} and {b}?",
    "company.product": "Can one buy the same goods from {a} and {b}?",
    "film.genre": "Does one genre fit both {a} and {b}?",
    "film.studio": "Is one company behind both {a} and {b}?",
    "band.city": "Did one city bring forth both {a} and {b}?",
    "band.genre": "Does one style fit both {a} and {b}?",
    "band.label": "Does one company put out the records of both {a} and {b}?",
    "book.publisher": "Did one company bring out both {a} and {b}?",
    "book.subject": "Does one theme fit both {a} and {b}?",
}

UNSEEN_BRIDGED_SAME: dict[tuple[str, str], str] = {
    ("film.director", "person.birthplace"): "Is one city the birthplace of the directors of both {a} and {b}?",
    ("book.author", "person.birthplace"): "Is one city the birthplace of the authors of both {a} and {b}?",
    ("band.singer", "person.birthplace"): "Is one city the birthplace of the singers of both {a} and {b}?",
    ("company.founder", "person.birthplace"): "Is one city the birthplace of the founders of both {a} and {b}?",
    ("film.studio", "company.headquarters"): "Is one city the base of the companies behind {a} and {b}?",
    ("film.setting", "city.country"): "Does one country include the scenes of both {a} and {b}?",
    ("company.headquarters", "city.country"): "Does one country include the head offices of both {a} and {b}?",
}


def unseen_order(template: str) -> str:
    """A comparison with the two names ahead.

    >>> unseen_order("Who was born first, {a} or {b}?")
    'Of {a} and {b}, who was born first?'
    """
    asked = template.removesuffix(", {a} or {b}?")
    return f"Of {{a}} and {{b}}, {asked[0].lower()}{asked[1:]}?"
