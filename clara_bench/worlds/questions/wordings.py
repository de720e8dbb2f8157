"""Templates of questions: data only.

{x} is what the question is about: a named entity, or a description of one. A description may end in a verb
("the city where {x} was born") only where nothing follows it; the asker takes care of that.
"""

from __future__ import annotations

ASKS: dict[str, tuple[str, ...]] = {
    "person.occupation": ("What was the profession of {x}?", "What did {x} do for a living?"),
    "person.born": ("In what year was {x} born?", "What is the year of birth of {x}?", "When was {x} born?"),
    "person.birthplace": ("In which city was {x} born?", "What is the birthplace of {x}?", "Where was {x} born?"),
    "person.father": ("Who was the father of {x}?", "Who is the father of {x}?"),
    "person.mother": ("Who was the mother of {x}?", "Who is the mother of {x}?"),
    "person.spouse": ("Who was the spouse of {x}?", "Who was {x} married to?"),
    "person.hobby": ("What was the great hobby of {x}?", "What hobby did {x} have?"),
    "person.residence": ("In which city did {x} live for many years?", "Which city was the home of {x}?"),
    "person.awarded": ("In which city did {x} receive the {q}?", "Where was {x} presented with the {q}?"),
    "city.country": ("In which country is {x}?", "Which country does {x} belong to?"),
    "city.mayor": ("Who is the mayor of {x}?", "Who was elected mayor of {x}?"),
    "city.founded": ("In what year was {x} founded?", "When was {x} founded?"),
    "city.population": ("How many people live in {x}?", "What is the population of {x}?"),
    "city.known_for": ("What is {x} known for?", "For what is {x} known?"),
    "city.river": ("On which river does {x} lie?", "Which river flows through {x}?"),
    "city.architect": ("Who designed the town hall of {x}?", "Who was the architect of the town hall of {x}?"),
    "country.capital": ("What is the capital of {x}?", "Which city is the capital of {x}?"),
    "country.president": ("Who is the president of {x}?", "Who is president of {x}?"),
    "country.currency": ("What is the currency of {x}?", "With which currency do people pay in {x}?"),
    "country.language": ("What is the official language of {x}?", "Which language is official in {x}?"),
    "country.independence": ("In what year did {x} become independent?", "When did {x} gain independence?"),
    "country.anthem": ("Who composed the national anthem of {x}?", "Who wrote the national anthem of {x}?"),
    "company.founder": ("Who founded {x}?", "Who was the founder of {x}?"),
    "company.headquarters": ("In which city does {x} have its headquarters?", "In which city is {x} based?"),
    "company.founded": ("In what year was {x} founded?", "When was {x} established?"),
    "company.product": ("What does {x} make?", "What is the main product of {x}?"),
    "company.employees": ("How many people does {x} employ?", "How many employees does {x} have?"),
    "company.award": ("Which award does {x} sponsor?", "Of which award is {x} the sponsor?"),
    "company.chief": ("Who is the chief executive of {x}?", "Who now runs {x}?"),
    "film.director": ("Who directed {x}?", "Who was the director of {x}?"),
    "film.year": ("In what year was {x} released?", "When did {x} come out?"),
    "film.studio": ("Which company produced {x}?", "What was the production company of {x}?"),
    "film.genre": ("What is the genre of {x}?", "To which genre does {x} belong?"),
    "film.setting": ("In which city is {x} set?", "Where does the story of {x} take place?"),
    "film.minutes": ("How many minutes does {x} run for?", "What is the running time, in minutes, of {x}?"),
    "film.star": ("Who plays the leading role in {x}?", "Who is the star of {x}?"),
    "film.composer": ("Who composed the music for {x}?", "Who wrote the score of {x}?"),
    "band.singer": ("Who is the singer of {x}?", "Who sings in {x}?"),
    "band.city": ("In which city was {x} formed?", "Which city does {x} come from?"),
    "band.year": ("In what year was {x} formed?", "When was {x} formed?"),
    "band.genre": ("What is the genre of {x}?", "What style of music does {x} play?"),
    "band.label": ("Which company releases the records of {x}?", "What is the record label of {x}?"),
    "band.drummer": ("Who is the drummer of {x}?", "Who plays the drums in {x}?"),
    "book.author": ("Who wrote {x}?", "Who is the author of {x}?"),
    "book.year": ("In what year was {x} published?", "When was {x} published?"),
    "book.publisher": ("Which company published {x}?", "Who is the publisher of {x}?"),
    "book.subject": ("What is {x} about?", "What is the subject of {x}?"),
    "book.pages": ("How many pages does {x} have?", "How many pages long is {x}?"),
    "book.setting": ("In which city is {x} set?", "Where does the story of {x} take place?"),
    "book.illustrator": ("Who illustrated {x}?", "Who is the illustrator of {x}?"),
    "river.explorer": ("Who was the first to map {x}?", "Who first mapped {x}?"),
    "river.mapped": ("In what year was {x} first mapped?", "When was {x} first mapped?"),
    "river.length": ("How many kilometres long is {x}?", "What is the length, in kilometres, of {x}?"),
    "river.fish": ("In which fish is {x} rich?", "For which fish do anglers come to {x}?"),
    "river.dam": ("Which company runs the dam on {x}?", "Who operates the dam on {x}?"),
    "river.bridge": ("Who designed the longest bridge of {x}?", "Who was the engineer of the longest bridge on {x}?"),
}

DESCRIPTIONS: dict[str, tuple[str, ...]] = {
    "person.birthplace": ("the birthplace of {x}", "the city where {x} was born"),
    "person.father": ("the father of {x}",),
    "person.mother": ("the mother of {x}",),
    "person.spouse": ("the spouse of {x}", "the person who was married to {x}"),
    "person.residence": ("the city that was home to {x}", "the city where {x} lived for many years"),
    "person.awarded": ("the city where {x} received the {q}",),
    "city.country": ("the country of {x}", "the country to which {x} belongs"),
    "city.mayor": ("the mayor of {x}",),
    "city.river": ("the river that flows through {x}",),
    "city.architect": ("the architect of the town hall of {x}",),
    "country.capital": ("the capital of {x}",),
    "country.president": ("the president of {x}",),
    "country.anthem": ("the composer of the national anthem of {x}",),
    "company.founder": ("the founder of {x}", "the person who founded {x}"),
    "company.headquarters": ("the city where {x} has its headquarters", "the home city of {x}"),
    "company.award": ("award sponsored by {x}",),
    "company.chief": ("the chief executive of {x}",),
    "film.director": ("the director of {x}", "the person who directed {x}"),
    "film.studio": ("the company that produced {x}", "the production company of {x}"),
    "film.setting": ("the city in which {x} is set",),
    "film.star": ("the star of {x}", "the person who plays the leading role in {x}"),
    "film.composer": ("the composer of the music for {x}", "the person who wrote the score of {x}"),
    "band.singer": ("the singer of {x}",),
    "band.city": ("the city where {x} was formed", "the home city of {x}"),
    "band.label": ("the record label of {x}", "the company that releases the records of {x}"),
    "band.drummer": ("the drummer of {x}",),
    "book.author": ("the author of {x}", "the person who wrote {x}"),
    "book.publisher": ("the publisher of {x}", "the company that published {x}"),
    "book.setting": ("the city in which {x} is set",),
    "book.illustrator": ("the illustrator of {x}",),
    "river.explorer": ("the person who first mapped {x}",),
    "river.dam": ("the operator of the dam on {x}",),
    "river.bridge": ("the engineer of the longest bridge of {x}",),
}

CLUES: dict[str, str] = {
    "person.occupation": "{a_o} by profession",
    "person.born": "who was born in {o}",
    "person.birthplace": "who was born in {o}",
    "person.father": "whose father was {o}",
    "person.mother": "whose mother was {o}",
    "person.hobby": "whose great hobby was {o}",
    "person.residence": "who lived for many years in {o}",
    "city.country": "which lies in {o}",
    "city.mayor": "whose mayor is {o}",
    "city.known_for": "known for its {o}",
    "city.river": "which lies on the {o}",
    "city.architect": "whose town hall was designed by {o}",
    "country.president": "whose president is {o}",
    "country.currency": "where people pay with the {o}",
    "country.language": "whose official language is {o}",
    "country.anthem": "whose national anthem was composed by {o}",
    "company.founder": "founded by {o}",
    "company.headquarters": "based in {o}",
    "company.founded": "founded in {o}",
    "company.product": "a maker of {o}",
    "company.chief": "whose chief executive is {o}",
    "river.explorer": "first mapped by {o}",
    "river.mapped": "first mapped in {o}",
    "river.fish": "rich in {o}",
    "river.dam": "whose dam is run by {o}",
    "river.bridge": "whose longest bridge was designed by {o}",
}
"""A second attribute of an entity that a question does not name, put after its description."""

NAMED: dict[str, tuple[str, ...]] = {
    "person": ("{x}",),
    "city": ("{x}", "the city of {x}"),
    "country": ("{x}",),
    "company": ("{x}", "the company {x}"),
    "film": ("the film {x}",),
    "band": ("the band {x}",),
    "book": ("the novel {x}", "the book {x}"),
    "river": ("the {x}",),
}

FIRST: dict[str, tuple[str, str]] = {
    "person.born": ("Who was born first, {a} or {b}?", "Who was born later, {a} or {b}?"),
    "city.founded": ("Which city was founded first, {a} or {b}?", "Which city was founded later, {a} or {b}?"),
    "city.population": (
        "Which city has fewer inhabitants, {a} or {b}?",
        "Which city has more inhabitants, {a} or {b}?",
    ),
    "country.independence": (
        "Which country became independent first, {a} or {b}?",
        "Which country became independent later, {a} or {b}?",
    ),
    "company.founded": ("Which company is older, {a} or {b}?", "Which company was founded later, {a} or {b}?"),
    "company.employees": (
        "Which company has fewer employees, {a} or {b}?",
        "Which company has more employees, {a} or {b}?",
    ),
    "film.year": ("Which film was released first, {a} or {b}?", "Which film came out more recently, {a} or {b}?"),
    "film.minutes": ("Which film is shorter, {a} or {b}?", "Which film is longer, {a} or {b}?"),
    "band.year": ("Which band was formed first, {a} or {b}?", "Which band was formed more recently, {a} or {b}?"),
    "book.year": ("Which novel was published first, {a} or {b}?", "Which novel was published later, {a} or {b}?"),
    "book.pages": ("Which novel has fewer pages, {a} or {b}?", "Which novel has more pages, {a} or {b}?"),
    "river.length": ("Which river is shorter, {a} or {b}?", "Which river is longer, {a} or {b}?"),
    "river.mapped": ("Which river was mapped first, {a} or {b}?", "Which river was mapped later, {a} or {b}?"),
}
"""Comparisons of two years or numbers: who has the lower one, who has the higher one."""

SAME: dict[str, str] = {
    "person.birthplace": "Were {a} and {b} born in the same city?",
    "person.occupation": "Did {a} and {b} have the same profession?",
    "person.father": "Did {a} and {b} have the same father?",
    "city.country": "Are the cities of {a} and {b} in the same country?",
    "city.river": "Do the cities of {a} and {b} lie on the same river?",
    "company.headquarters": "Are the companies {a} and {b} based in the same city?",
    "company.product": "Do the companies {a} and {b} make the same product?",
    "film.genre": "Are the films {a} and {b} of the same genre?",
    "film.studio": "Were the films {a} and {b} produced by the same company?",
    "band.city": "Were the bands {a} and {b} formed in the same city?",
    "band.genre": "Do the bands {a} and {b} play the same style of music?",
    "band.label": "Are the bands {a} and {b} signed to the same record label?",
    "book.publisher": "Were the novels {a} and {b} published by the same company?",
    "book.subject": "Are the novels {a} and {b} about the same subject?",
}

BRIDGED_FIRST: dict[tuple[str, str], tuple[str, str]] = {
    ("film.director", "person.born"): (
        "Which film has the director who was born first, {a} or {b}?",
        "Which film has the younger director, {a} or {b}?",
    ),
    ("book.author", "person.born"): (
        "Which novel has the older author, {a} or {b}?",
        "Which novel has the author who was born later, {a} or {b}?",
    ),
    ("band.singer", "person.born"): (
        "Which band has the older singer, {a} or {b}?",
        "Which band has the younger singer, {a} or {b}?",
    ),
    ("company.founder", "person.born"): (
        "Which company has the founder who was born first, {a} or {b}?",
        "Which company has the founder who was born later, {a} or {b}?",
    ),
    ("film.studio", "company.founded"): (
        "Which film was produced by the older company, {a} or {b}?",
        "Which film was produced by the company that was founded later, {a} or {b}?",
    ),
    ("book.publisher", "company.founded"): (
        "Which novel was published by the older company, {a} or {b}?",
        "Which novel was published by the company that was founded later, {a} or {b}?",
    ),
    ("band.city", "city.population"): (
        "Which band was formed in the city with fewer inhabitants, {a} or {b}?",
        "Which band was formed in the city with more inhabitants, {a} or {b}?",
    ),
}

BRIDGED_SAME: dict[tuple[str, str], str] = {
    ("film.director", "person.birthplace"): "Were the directors of the films {a} and {b} born in the same city?",
    ("book.author", "person.birthplace"): "Were the authors of the novels {a} and {b} born in the same city?",
    ("band.singer", "person.birthplace"): "Were the singers of the bands {a} and {b} born in the same city?",
    ("company.founder", "person.birthplace"): "Were the founders of the companies {a} and {b} born in the same city?",
    ("film.studio", "company.headquarters"): "Were the films {a} and {b} produced by companies based in the same city?",
    ("film.setting", "city.country"): "Are the films {a} and {b} set in cities of the same country?",
    ("company.headquarters", "city.country"): "Are the companies {a} and {b} based in cities of the same country?",
}

KINSHIP: dict[tuple[str, str], str] = {
    ("person.father", "person.father"): "paternal grandfather",
    ("person.father", "person.mother"): "paternal grandmother",
    ("person.mother", "person.father"): "maternal grandfather",
    ("person.mother", "person.mother"): "maternal grandmother",
    ("person.spouse", "person.father"): "father-in-law",
    ("person.spouse", "person.mother"): "mother-in-law",
}
"""Two relations that amount to one with a name of its own."""

KIN_ASKS = ("Who is the {kin} of {x}?", "Who was the {kin} of {x}?")
