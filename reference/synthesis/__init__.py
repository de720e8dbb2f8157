"""Training rows that a language model writes: question-answer pairs, paraphrases, and a teacher's answers.

In: documents and an OpenAI-compatible server, or rows and a text reader. Out: files of training rows.
"""
