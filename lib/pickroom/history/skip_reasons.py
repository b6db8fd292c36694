"""Why a row is left out: a fixed list of reasons, so that a report of a million rows stays short."""

# about the line
NOT_TEXT = "not UTF-8 text, or a NUL in it"
UNBALANCED = "a quote that never closes"
TOO_LONG = "a line too long to be a record"
SHIFTED = "columns shifted: not as many, or not what the header says"
HEADER_AGAIN = "the header once more"
EMPTY = "empty row"

# about the project
NO_PROJECT = "no project named: give --project, --dates or --by-name"
FOLDER_ONLY = "only its folder names a project: accept it with --by-folder or --map"
BAD_FOLDER = "its folder cannot be a project id: give --map FOLDER=PROJECT"
NOT_GIVEN = "names another project than --project"
CONFLICT = "names several projects"
BAD_PROJECT = "its project column can name no project"
# no examples: the table of folders shows these rows
IN_TABLE = frozenset((NO_PROJECT, FOLDER_ONLY, BAD_FOLDER, NOT_GIVEN))
OF_THE_PROJECT = frozenset((*IN_TABLE, CONFLICT, BAD_PROJECT))

# about the images
NO_FILE_NAME = "no file name"
NOT_AN_IMAGE = "not an image's file name"
NOT_A_LIST = "not a list of paths"
NO_OTHERS = "no other image to compare with"
CHOSEN_REJECTED = "the chosen image is also a rejected one"
NAME_TWICE = "one file name twice in a group"
NO_CHOICE = "no choice of the user"
BAD_INDEX = "an index outside the group"
INDEX_PATH = "chosen_index and chosen_path disagree"
BAD_ACTION = "an action that is none of approve, crop, reject"
REJECT_UNKNOWN = "a rejected group without sizes or time: its index is a placeholder, not a pick"

# about the numbers
NOT_A_NUMBER = "not a number where one should be"
OUTSIDE = "a box outside its image"
REVERSED = "a box that is empty or reversed"
PLACEHOLDER = "placeholder box (0,0,1,1), nothing else in the row"
NO_BOX = "no box and no other image: the row says nothing"

# about rows met before; only known when all are read
REPEATED = "repeated row"
IMPORTED = "already imported"
DECIDED = "already decided in Pickroom"
REOPENED = "re-opened after being cropped: its box is in the cropped frame"
FULL_FRAME = "full frame, cropped in a later row"
NO_COORDINATES = "a crop without coordinates, known from another row"
SAME_ID = "its group_id stands for another row"
# ... whose contents the import has from another row
KNOWN = frozenset((REPEATED, IMPORTED, DECIDED, REOPENED, FULL_FRAME, NO_COORDINATES))


class Skip(Exception):
    """One row cannot be used; `reason` is one of this module's texts."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)
