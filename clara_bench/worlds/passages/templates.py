"""Templates of passages: data only.

Slots: {N} the name, {S} the name or a pronoun at the start of a sentence, {P} their possessive,
{p} the possessive pronoun, {s} the pronoun inside a sentence, {o} the value, {be} is or was;
in an opening also each relation by its name, and {a_x} for relation x with its article.
"""

from __future__ import annotations

Opening = tuple[tuple[str, ...], str]
"""The relations that a first sentence states, and its wording."""

OPENINGS: dict[str, tuple[Opening, ...]] = {
    "person": (
        (("occupation", "born", "birthplace"), "{N} (born {born} in {birthplace}) {be} {a_occupation}."),
        (("occupation", "born", "birthplace"), "{N}, born in {birthplace} in {born}, {be} {a_occupation}."),
        (("occupation", "born"), "{N} (born {born}) {be} {a_occupation}."),
        (("occupation", "born"), "Born in {born}, {N} {be} {a_occupation}."),
        (("occupation", "birthplace"), "{N} {be} {a_occupation} who was born in {birthplace}."),
        (("occupation",), "{N} {be} {a_occupation}."),
        (("occupation",), "{N} became known as {a_occupation}."),
    ),
    "city": (
        (("country", "known_for"), "{N} is a city in {country} that is known for its {known_for}."),
        (("country", "river"), "{N} is a city in {country}, on the banks of the {river}."),
        (("country", "founded"), "{N} is a city in {country} that was founded in {founded}."),
        (("country",), "{N} is a city in {country}."),
        (("population",), "{N} is a city with {population} inhabitants."),
        (("known_for",), "{N} is a city known for its {known_for}."),
        ((), "{N} is a city with an old market square."),
    ),
    "country": (
        (("capital",), "{N} is a country whose capital is {capital}."),
        (
            ("capital", "independence"),
            "{N}, whose capital is {capital}, became an independent country in {independence}.",
        ),
        (("capital", "language"), "{N} is {a_language}-speaking country with its capital at {capital}."),
    ),
    "company": (
        (("founder", "founded"), "{N} is a company founded by {founder} in {founded}."),
        (("headquarters", "product"), "{N} is a company based in {headquarters} that makes {product}."),
        (("product",), "{N} is a company that makes {product}."),
        (("headquarters",), "{N} is a company with its headquarters in {headquarters}."),
        (("founder",), "{N} is a company founded by {founder}."),
        ((), "{N} is a company with several branches."),
    ),
    "film": (
        (("year", "genre", "director"), "{N} is {a_genre} film of {year} directed by {director}."),
        (("genre", "director"), "{N} is {a_genre} film directed by {director}."),
        (("year", "director"), "{N} is a {year} film directed by {director}."),
        (("year", "genre"), "{N} is {a_genre} film released in {year}."),
        (("genre",), "{N} is {a_genre} film."),
        (("year",), "{N} is a film released in {year}."),
        ((), "{N} is a feature film."),
    ),
    "band": (
        (("genre", "city", "year"), "{N} are {a_genre} band formed in {city} in {year}."),
        (("genre", "city"), "{N} are {a_genre} band from {city}."),
        (("genre", "year"), "{N} are {a_genre} band formed in {year}."),
        (("genre",), "{N} are {a_genre} band."),
        (("city",), "{N} are a band from {city}."),
        ((), "{N} are a band with a loyal following."),
    ),
    "book": (
        (("author", "year"), "{N} is a novel by {author} that was published in {year}."),
        (("author", "subject"), "{N} is a novel about {subject} by {author}."),
        (("year", "subject"), "{N} is a {year} novel about {subject}."),
        (("author",), "{N} is a novel written by {author}."),
        (("subject",), "{N} is a novel about {subject}."),
        ((), "{N} is a novel in three parts."),
    ),
    "river": (
        (("length",), "The {N} is {length} kilometres long."),
        (("fish",), "The {N} is a river rich in {fish}."),
        (("length", "fish"), "The {N} is a river of {length} kilometres that is rich in {fish}."),
        ((), "The {N} is a river with many tributaries."),
    ),
}

SENTENCES: dict[str, tuple[str, ...]] = {
    "person.born": ("{S} was born in {o}.", "{P} year of birth is {o}.", "{o} is the year in which {s} was born."),
    "person.birthplace": (
        "{S} was born in {o}.",
        "{P} birthplace was the city of {o}.",
        "{S} was born and brought up in {o}.",
        "{o} is the city where {s} was born.",
    ),
    "person.father": ("{P} father was {o}.", "{o} was {p} father.", "{S} was raised by {p} father, {o}."),
    "person.mother": ("{P} mother was {o}.", "{o} was {p} mother.", "{S} was close to {p} mother, {o}."),
    "person.spouse": ("{S} married {o}.", "{P} spouse was {o}.", "{S} was married to {o}."),
    "person.hobby": ("{P} great hobby was {o}.", "{S} spent much free time on {o}.", "{S} had a passion for {o}."),
    "person.residence": ("{S} later settled in {o}.", "{S} lived for many years in {o}.", "{P} home was in {o}."),
    "person.mention": (
        "{S} gave a long interview about {o}.",
        "{S} often talked about {o}.",
        "{P} letters contain several pages on {o}.",
        "{S} gave lectures on the history of {o}.",
    ),
    "city.country": ("{S} lies in {o}.", "{S} belongs to {o}."),
    "city.mayor": ("{P} mayor is {o}.", "The mayor of the city is {o}.", "{o} was elected mayor of the city."),
    "city.founded": ("{S} was founded in {o}.", "The founding of the city dates back to {o}."),
    "city.population": ("{S} has a population of {o}.", "{S} has {o} inhabitants.", "{o} people live in the city."),
    "city.known_for": ("{S} is known for its {o}.", "Visitors come for its {o}."),
    "city.river": ("{S} lies on the {o}.", "The {o} flows through the city."),
    "city.architect": ("{P} town hall was designed by {o}.", "{o} was the architect of the town hall."),
    "country.capital": ("The capital is {o}.", "{P} capital city is {o}."),
    "country.president": ("{P} president is {o}.", "{o} is the president of the country."),
    "country.currency": ("{P} currency is the {o}.", "People pay with the {o}, the national currency."),
    "country.language": ("The official language is {o}.", "{P} official language is {o}."),
    "country.independence": ("{S} gained independence in {o}.", "Independence was declared in {o}."),
    "country.anthem": ("The national anthem was composed by {o}.", "{o} wrote the music of {p} national anthem."),
    "company.founder": ("{S} was founded by {o}.", "{P} founder was {o}.", "It was {o} who founded the company."),
    "company.headquarters": ("{S} has its headquarters in {o}.", "{P} head office is in {o}.", "{S} is based in {o}."),
    "company.founded": ("{S} was founded in {o}.", "The company was established in {o}.", "It dates from {o}."),
    "company.product": ("{S} makes {o}.", "{P} main product is {o}.", "It is a leading maker of {o}."),
    "company.employees": ("{S} has {o} employees.", "{S} employs {o} people."),
    "company.award": (
        "{S} sponsors the {o}.",
        "{S} is the sponsor of the {o}.",
        "The {o} is sponsored by the company.",
    ),
    "company.chief": ("{P} chief executive is {o}.", "{S} is now run by {o}, its chief executive."),
    "film.director": ("{S} was directed by {o}.", "{P} director was {o}.", "{o} directed the film."),
    "film.year": ("{S} was released in {o}.", "The film came out in {o}.", "{P} year of release was {o}."),
    "film.studio": ("{S} was produced by {o}.", "The production company was {o}.", "{o} produced the film."),
    "film.genre": ("{P} genre is {o}.", "Critics counted it among the classics of the {o} genre."),
    "film.setting": ("{P} story is set in {o}.", "{S} is set in {o}.", "The plot takes place in {o}."),
    "film.minutes": ("{S} runs for {o} minutes.", "The running time is {o} minutes."),
    "film.star": ("{o} plays the leading role.", "{P} star is {o}.", "The leading part is played by {o}."),
    "film.composer": ("The music was composed by {o}.", "{o} composed the score."),
    "band.singer": ("Their singer is {o}.", "{o} is the singer of the band.", "The vocals are sung by {o}."),
    "band.city": ("The band was formed in {o}.", "The members founded the band in {o}."),
    "band.year": ("The band was formed in {o}.", "They started out in {o}."),
    "band.genre": ("Their style of music is {o}.", "Critics describe their genre as {o}."),
    "band.label": ("Their records are released by {o}.", "Their record label is {o}.", "They are signed to {o}."),
    "band.drummer": ("Their drummer is {o}.", "{o} plays the drums.", "On drums is {o}."),
    "book.author": ("{P} author is {o}.", "The novel was written by {o}.", "{o} wrote the novel."),
    "book.year": ("{S} was published in {o}.", "The first edition appeared in {o}."),
    "book.publisher": ("{S} was published by {o}.", "{P} publisher is {o}.", "{o} published the novel."),
    "book.subject": ("{P} subject is {o}.", "The novel deals with {o}."),
    "book.pages": ("{S} has {o} pages.", "The first edition runs to {o} pages."),
    "book.setting": ("{S} is set in {o}.", "{P} story takes place in {o}."),
    "book.illustrator": ("{S} was illustrated by {o}.", "The illustrations are by {o}."),
    "river.explorer": ("{S} was first mapped by {o}.", "{o} was the first to map the river."),
    "river.mapped": ("The first map of the river dates from {o}.", "It was first mapped in {o}."),
    "river.length": ("{S} is {o} kilometres long.", "{P} length is {o} kilometres."),
    "river.fish": ("{S} is rich in {o}.", "Anglers come for its {o}."),
    "river.dam": ("{P} only dam is run by {o}.", "{o} operates a dam on the river."),
    "river.bridge": ("{P} longest bridge was designed by {o}.", "{o} was the engineer of its longest bridge."),
}

AWARDED_SENTENCES: tuple[str, ...] = (
    "{S} received the {first_award} in {first_city} and the {second_award} in {second_city}.",
    "{S} was given the {first_award} in {first_city}, and the {second_award} at a ceremony in {second_city}.",
    "The {first_award} was presented to {o} in {first_city}, the {second_award} in {second_city}.",
)
"""{o} is "him" or "her"."""

SHARED_MENTIONS: tuple[str, ...] = (
    "All of them have given interviews about {o}.",
    "Each of them has written a few pages on {o}.",
    "Several letters of theirs deal with {o}.",
)
"""A mention that does not say which member of a passage it is about."""

FILLERS: dict[str, tuple[str, ...]] = {
    "person": (
        "Little is known about {p} early schooling.",
        "Two biographies have appeared, neither of them complete.",
        "Friends remembered {p} dry sense of humour.",
        "A street and a small park bear {p} name.",
        "Some of {p} papers are kept in a private archive.",
        "Visitors to the family home were always offered tea.",
    ),
    "city": (
        "Its streets follow an old plan, with narrow lanes around the market.",
        "A tram line connects the station with the old quarter.",
        "The weekly market draws visitors from the villages around.",
        "Much of the old wall is still standing.",
        "Summers are warm there and winters are mild.",
    ),
    "country": (
        "Most of its people live near the coast.",
        "Farming and fishing remain important to many families.",
        "The interior is hilly and thinly settled.",
        "Its flag is seen on houses during the autumn festival.",
    ),
    "company": (
        "For years it was run from a single workshop behind the railway station.",
        "A fire destroyed most of the early records.",
        "Its catalogue was once printed in six colours.",
        "Former apprentices still meet once a year.",
        "The firm has survived two changes of ownership.",
    ),
    "film": (
        "The shooting took longer than planned because of bad weather.",
        "Only a few prints have survived.",
        "Reviews were mixed at first but grew warmer over time.",
        "A restored version was shown at several festivals.",
        "Audiences remember above all the long final scene.",
    ),
    "band": (
        "Their concerts are known to last well into the night.",
        "Early recordings are sought after by collectors.",
        "They rehearse in a former school gymnasium.",
        "A tour on small stages made them popular.",
        "Their posters were drawn by hand for many years.",
    ),
    "book": (
        "The manuscript was rejected several times before it was printed.",
        "Readers praised its calm tone and precise descriptions.",
        "A second edition corrected a number of small errors.",
        "It is often read in schools.",
        "The first chapter was written in a single night.",
    ),
    "river": (
        "Its upper course runs through steep and wooded country.",
        "In spring it often floods the low meadows.",
        "Barges carried timber down it for centuries.",
        "A footpath follows most of its left bank.",
        "Several mills once stood along its lower course.",
    ),
}
"""Sentences that say nothing a question asks about; they bring short passages to length."""

PRONOUNS: dict[str, tuple[str, ...]] = {
    "city": ("It", "The city"),
    "country": ("It", "The country"),
    "company": ("It", "The company"),
    "film": ("It", "The film"),
    "band": ("They", "The band"),
    "book": ("It", "The book"),
    "river": ("It", "The river"),
}
"""What may stand for the name at the start of a sentence; people have "He" or "She"."""
