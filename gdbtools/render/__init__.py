"""How an answer looks: documents, and their renderings as text and JSON."""
