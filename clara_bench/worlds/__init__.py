"""Made-up encyclopaedias with questions over them."""
