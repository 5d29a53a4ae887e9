"""What a model server is told by its environment about the approval it must verify."""

STATEMENT = "MODEL_SERVER_STATEMENT"
KEYS = "MODEL_SERVER_PUBLIC_KEYS"
# a folder that another container of the pod keeps fresh (model_server.fetch); without it the statement is beside the bundle's files
FOLDER = "MODEL_SERVER_APPROVAL_FOLDER"
STATEMENT_URI = "MODEL_SERVER_STATEMENT_URI"
REVOCATIONS_URI = "MODEL_SERVER_REVOCATIONS_URI"
# where the libraries of models that have their own are brought to, ROOT/NAME, and where they are read from (s3://bucket/prefix)
LIBRARIES = "MODEL_SERVER_LIBRARIES_FOLDER"
LIBRARIES_URI = "MODEL_SERVER_LIBRARIES_URI"
BUNDLE_URI = "MODEL_SERVER_BUNDLE_URI"
