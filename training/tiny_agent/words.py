"""Plain word lists; knows nothing about requests or tools."""

# ruff: noqa: RUF001 -- odd characters are there on purpose


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NOUNS = _words("""
    account address airport alarm album anchor ankle answer apple april arrow artist attic
    august author autumn bag bakery balance ball banana band bank barn basin basket battery
    beach bean bear beard bed bee bell belt bench bicycle bird birthday biscuit blanket blog
    board boat body bone book border boss bottle bowl box boy brain bread breakfast bridge
    brother bucket budget builder bus butter button cabin cable cake calendar camera candle
    capital captain car card carpet carrot castle cat cell center chair chapter cheese cherry
    chess chicken child choice circle city class client clock cloud coast coat code coffee
    coin color column comma company compass computer concert corner cotton country couple
    course cousin cow cream crowd crown cup curtain customer dance data daughter day deck
    degree dentist desert desk dinner dog door dragon drawer dream dress driver drum duck dust
    eagle ear earth editor egg elbow elephant email engine evening event example exam eye face
    factory family farm father feather fence field finger fire fish flag floor flour flower
    folder food foot forest fork fox frame friday friend frog fruit future galaxy game garage
    garden garlic gate ghost giant girl glass glove goal goat gold grape grass group guest
    guitar hair hammer hand harbor hat heart helmet hero hill history hobby holiday home honey
    horse hospital hotel hour house ice idea index iron island item jacket january jar jazz
    jewel job journey judge juice july june jungle kettle key keyboard king kitchen kite knee
    knife lake lamp language lawyer leaf lemon lesson letter level library light lion lip list
    lizard lunch machine magic mail manager map march market math meal meat medicine melon
    memory menu message metal meter milk mind minute mirror model monday money monkey month
    moon morning mother mountain mouse mouth movie museum music nail name neck needle neighbor
    nest network news night noise north nose note novel november number nurse oak ocean office
    oil olive onion orange order oven owl page paint palace pan paper parcel parent park
    parrot party password path pear pen pencil people pepper person phone photo piano picture
    pie pillow pilot pizza place plan planet plate pocket poem poet police pond potato price
    prince printer prize problem project pumpkin purple queen question rabbit radio rain
    reader recipe record report result rice ring river road robot rock roof room root rope
    rose salad salt sand school science screen sea season second seed shadow sheep shelf shell
    ship shirt shoe shop shoulder signal silver sister skin sky snake snow soap sock sofa
    soldier song soup south space spider spoon spring square stairs star station steam stone
    store storm story street student sugar suit summer sunday sunset swan table tail tax tea
    teacher team tent test theater thumb thunder ticket tiger time title toast token tomato
    tongue tool tooth topic tower town toy train travel tree triangle trip truck tuesday
    tunnel turtle umbrella uncle user valley value vase version video village violin visitor
    voice wall wallet water wave weather week west whale wheel wind window wine winter wolf
    wood world writer yard year yellow zebra zoo
""")
VERBS = _words("""
    accept admire admit agree answer appear arrive ask bake begin believe belong borrow bounce
    breathe bring brush burn buy call carry catch celebrate chase choose claim clap climb
    collect come compare complain connect cook cost count cross cry dance decide deliver
    deserve discover discuss divide draw dream drink drive earn eat enjoy escape exist expect
    explain explore fail fall feed feel fight float fly follow forget forgive freeze gather
    give glow grow guess hang happen hate hear help hide hope hurry imagine improve invite
    join jump kick kiss knit knock know laugh lead learn leave lend lift like listen live lose
    love marry matter mean measure meet melt miss need notice obey offer owe own paint park
    pay peel perform pick plant play point pour praise pray prefer pretend promise protect
    prove pull push race reach relax remember rent rescue rest return ride ring rise roll sail
    scream seem sell send shake share shine shout sing sit sleep slide smell smile sneeze
    spend stand stare stay steal stir stretch study suffer suggest surprise swim take talk
    taste teach tease thank think throw tie touch trade trust understand vanish visit wait
    wake walk wander want warn wash waste watch wave wear whisper whistle win wish wonder work
    worry yawn
""")
ADJECTIVES = _words("""
    able afraid alive ancient angry awake bad basic big bitter blue bold brave bright broken
    brown busy calm careful cheap clean clear clever cold common cool crazy curious daily dark
    deep dirty dry early easy empty equal false famous fast fine flat fresh full funny gentle
    glad gold good grand gray great green happy hard heavy hidden high hollow honest hot huge
    hungry kind large late lazy light little local lonely long loud lovely low lucky main
    modern narrow native neat nervous new nice noisy normal odd old open orange pale perfect
    pink plain polite poor pretty proud quick quiet rare raw ready real red rich right ripe
    rough round royal sad safe salty secret serious sharp short shy silent silly simple slow
    small smart smooth soft sour special spicy square steady steep sticky strange strict
    strong sunny sweet tall tender thick thin tiny tired true ugly unique usual vivid warm
    weak wet white wide wild wise wooden young
""")
FILLERS = _words("""
    the a an of to in on for with and or but not is are was were be been has have had do does
    did will would can could should may might must this that these those it its he she they we
    you i my your our their his her from by at as into over under after before about between
    through during without if than so because while where when who what which how why all any
    some no every each more most other such only very too just also now here there up down out
    off again once never always often soon today tomorrow yesterday one two three four five
    six seven eight nine ten hello hi thanks yes okay todo draft don't it's i'm can't we're
    isn't you're let's won't
""")
EXTENSIONS = _words("""
    txt txt txt md md py py py js json yaml toml csv html css sh ts xml ini cfg log sql rs go
    c h cpp java rb tex rst yml lua php swift kt conf env bat svg ipynb
""")
BARE_NAMES = _words("""
    Makefile README LICENSE Dockerfile .gitignore .env TODO CHANGELOG NOTICE Procfile
    AGENTS.md README.md
""")
FOLDERS = _words("""
    src docs tests lib bin data tmp app build config scripts assets notes core utils api web
    tools examples pkg
""")
LANGUAGES = {  # how people call the files of an extension
    "python": "py",
    "markdown": "md",
    "text": "txt",
    "json": "json",
    "yaml": "yaml",
    "toml": "toml",
    "csv": "csv",
    "html": "html",
    "css": "css",
    "shell": "sh",
    "rust": "rs",
    "go": "go",
    "java": "java",
    "javascript": "js",
    "typescript": "ts",
    "log": "log",
    "sql": "sql",
    "xml": "xml",
}
ONSETS = _words("""
    b c d f g h j k l m n p r s t v w z bl br ch cl cr dr fl fr gl gr kl kr pl pr qu sc sh sk
    sl sm sn sp st str sw th tr tw wh x y
""")
NUCLEI = _words("""
    a e i o u a e i o u ai au ea ee ei ie io oa oo ou ue y
""")
CODAS = ("",) * 3 + _words("""
    b d g k l m n p r s t x ck ft ld lt nd ng nk nt rd rk rm rn sh sk st th z
""")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
ODD_CHARACTERS = tuple(
    "äöüßéèêáàâñçøåœłśžőğışæ€£°±×÷→←✓✗•…–—“”’«»日本語中文字学生한국어αβγδλπΩЖдиен😀🎉🚀🐍🔥✨"
)
SCRIPTS = (  # code point ranges from which odd text is drawn
    (0xA1, 0xFF),
    (0x100, 0x17F),
    (0x3B1, 0x3C9),
    (0x410, 0x44F),
    (0x5D0, 0x5EA),
    (0x621, 0x63A),
    (0x904, 0x939),
    (0x2010, 0x2027),
    (0x2190, 0x21FF),
    (0x2500, 0x257F),
    (0x3041, 0x3096),
    (0x30A1, 0x30FA),
    (0x4E00, 0x9FA5),
    (0x4E00, 0x9FA5),
    (0xAC00, 0xD7A3),
    (0x1F300, 0x1F5FF),
    (0x1F600, 0x1F64F),
    (0x1F680, 0x1F6C5),
    (0xA1, 0xD7FF),
    (0xF900, 0xFFFD),
    (0x10000, 0x1FFFF),
)
WORDS = NOUNS + VERBS + ADJECTIVES
