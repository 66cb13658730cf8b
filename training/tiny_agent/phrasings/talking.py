"""Messages that ask for no tool: greetings, off-topic wishes, requests too vague to act on."""

# ruff: noqa: E501 -- one template a line

from training.tiny_agent import sentences
from training.tiny_agent.grammar import Template, templates
from training.tiny_agent.phrasings.nouns import SLOTS
from training.tiny_agent.requests import fill, marked_path
from training.tiny_agent.source import Source
from training.tiny_agent.values import sentence, short

GREETINGS = templates("""
    6* [hi|hello|hey|hi there|hello there|hey there|good morning|good evening|good afternoon|good day|greetings|howdy|yo|hello world|hi friend|hello model|hi bot|hey you|hello again|morning|hallo|hiya]
    [hi|hello|hey][, |! | ][how are you|how are you doing|how's it going|nice to meet you|how do you do|what's up|good to see you|are you there|i'm back|how are things|my friend|computer|everyone]
    [nice to meet you|say hello|say hi|greet me|what's up|are you there]
""")
SELF = templates("""
    4* [who are you|what are you|what can you do|help|what do you do|introduce yourself|tell me about yourself|how can you help me|what model are you|are you a model|what are your tools|what tools do you have|which tools do you have|what is your name|what's your name|what can i ask you|how do you work|what are you able to do|list your tools|help me|are you an ai|who made you|describe yourself|how do i use you|what can you do for me|can you help me|what is this|show help|what are your abilities|are you chatgpt|are you qwen|what else can you do|what can i do with you]
    [hi|hello|hey][, |! |. ][who are you|what are you|what can you do|what is your name|can you help me|what do you do]
""")
THANKING = templates("""
    [thanks|thank you|thanks a lot|thank you very much|great, thanks|ok thanks|thx|perfect, thank you|well done|good job|nice work|great work|many thanks|cheers|great job|okay thanks|thanks for your help|thank you for the help|thanks, that worked|great|perfect|awesome, thanks|cool, thanks|that was great|thanks again|nice, thanks|i appreciate it|excellent|thank you so much|that's great, thank you|nice|cool|awesome]
""")
PARTING = templates("""
    [bye|goodbye|see you|see you later|bye bye|good night|exit|quit|that is all|that's all|i am done|farewell|bye for now|see you tomorrow|ok bye|have a nice day|talk to you later|i have to go|that's it for today|that will be all|i'm done]
""")
OFF_TOPIC = templates("""
    what is [the capital of {cased}|a {word}|{word}|the meaning of {word}|the best {word}|the price of {word}|love|the time]
    who [is {cased}|invented the {word}|won the {word}|wrote {cased}|was {cased}]
    2* explain [{word}|{word} to me|how {word} works|how a {word} {verb}s|the {word}|{word} in simple terms|what a {word} is]
    2* [write|tell me|compose|give me|make up] [a|me a|a short|a long|an] [poem|story|song|essay|haiku|joke|letter|limerick|speech|blog post|tale][| about {word}| about the {adjective} {word}| for my {word}| about {word} and {word}]
    translate [{word}|'{word} {word}'|this|the text] [into|to] [french|german|spanish|italian|english|{cased}]
    [summarize|summarise|sum up] [the {word}|this {word}|{file}|the file {file}|this|the text|this article]
    [explain|review|document|refactor|improve|optimize|fix|debug|test|clean up] [|the code in |the file |the bug in |the function in ]{file}
    [explain|review|refactor|improve|optimize|fix|debug|design] [my|the|our|this] {word}[| module| code| function| class| page]
    how [do i|can i|do you|should i] {verb} [a|the|my] {word}
    how [does a {word} work|many {word}s are there|old is {cased}|is the weather|tall is {cased}|far is the {word}|much is {number} plus {number}]
    why [is the {word} {adjective}|do {word}s {verb}|does {word} {verb}]
    when [did {cased} {verb}|was {cased} born|is {word}]
    where [can i {verb} a {word}|do {word}s live]
    [do you like {word}|do you know {cased}|are you {adjective}|can you {verb}|do you have feelings|are you human]
    [give me advice about|recommend a|give me a recipe for|tell me about|teach me|talk about|give me tips for] {word}
    i [am|feel] {adjective}[| today]
    i [like|love|hate] [the |]{word}
    [my|the] {word} is {adjective}
    what is {number} [plus|+|times|minus|*|/|-|divided by] {number}
    [what's|calculate|compute|how much is] {number} [+|-|*|/|plus|times] {number}
    [solve|calculate] [x|y|z] + {number} = {number}
    [write|create|make|build|code|implement|program|develop] [a|an|me a] [snake game|web server|chat app|calculator|game|website|todo app|compiler|{word} app|{word} game|website about {word}|{word} in python|simple {word}|rest api|web scraper|parser for {word}s|login page|{adjective} {word} app]
    2* write [a|me a|some] [program|function|script|class|test|python script|python program|python function|code|bash script] [that {verb}s [the |]{word}|to {verb} [a |the |all ]{word}s|for {word}s|for my {word}|which {verb}s {word}|that sorts {word}s|that counts {word}s|to compute {word}s]
    create {file} [that|which] [{verb}s the {word}|sorts [the |]{word}s|counts {word}s|computes the {word}|{verb}s all {word}s|downloads {word}s|implements {word}]
    create [a|an] {kind} [that|which] [{verb}s the {word}|sorts {word}s|computes {word}|{verb}s {word}|draws a {word}]
    [implement|add] [a|an|the] [{word} {word}|{word} feature|{word} function|login|{word} endpoint|{word} button]
    [implement|refactor] {word} [in rust|and add unit tests|to use {word}s|in {file}]
    [add|write] [tests|comments|type hints|documentation|docstrings|unit tests] [for|to] {file}
    [convert|rewrite|port] {file} [to json|to rust|in rust|to python|to yaml]
    [make {file} faster|format {file}|sort {file}|sort the lines of {file}|encrypt {file}|merge {file} and {file}|zip {file}|email {file} to {word}]
    [what is wrong with|why does|who wrote|is there a bug in|what do you think of] {file}[| fail]
    [play|draw|paint|sing|order|book|buy] [a|me a|the|some] {word}
    [send an email to|call|remind me to call] {cased}
    [set an alarm for|count to|convert {number} miles to km in] {number}
    [search the web for|google|look up|download] {word}[| online]
    [undo that|undo the last change|open a browser|open a pull request|push to github|clear the screen|sort this list: {number}, {number}, {number}|deploy the app|install {word}]
    [name {number} {word}s|define {word}|spell {word}|compare {word}s and {word}s|what is the difference between {word}s and {word}s]
    what [happened in 1{digit}{digit}{digit}|time is it|day is it today|color is the {word}|do you think about {word}|should i {verb}]
    which {word} is {adjective}
    prove that {word} is {adjective}
    [generate|create|make] [an image|a picture|a photo] of [a |]{word}
    [fix|find] the bug[| in my {word}| in the {word}]
    2* [what|why|how|when|who|where] [is|are|do|does|did|was|were|can|will|would|should] [the |a |my |you |i |]{word} [{word}|{adjective}|{verb} {word}|of {word}|in {word}|{verb} a {word}|for {word}]
    [write|compose|draft] [an email|a letter|a message|a tweet|a summary|a report|a resume|a cover letter|a review] [to my {word}|about {word}|for {word}|for my {word}]
    [tell me|do you know|can you tell me] [what|why|how|who|when] [the |a |]{word} [is|does|works|was]
    add [error handling|logging|a docstring|caching|tests] to {file}
    help me [{verb} my {word}|with my {word}|understand {word}]
    [is|does] [{word} {adjective}|the {word} {verb}]
""")
_ODD = templates("""
    [?|...|!!!|hmm|lol|ok|no|yes|why|what|test|asdf|wow|maybe|ok?|huh|blah]
""")
VAGUE: dict[str, tuple[Template, ...]] = {
    "write": templates("""
        3* [create|make|write|save|new|i need|i want|add] [a|a new|one] file[| for me]
        2* [create|make|write|i want to create|i need] [|the file |a file called |a new file ]{file}
        [write|save|put] something[| to {file}| in {file}| into a file]
        [can you |]help me [create|write] a file
        [create|write|make|i need|new] a [text file|python script|script|note|markdown file|config file]
        [write|save] some text[| to {file}]
        write to {file}
        create file
    """),
    "add": templates("""
        [append|add] [something|a line|text|some text|a new line|another line][| to a file| to {file}]
        append to [a file|{file}]
        add something to [a file|{file}]
    """),
    "read": templates("""
        [read|open|show|show me|view|print] [a file|the file|something|file|my file|some file|one of the files]
        [can you |i want to ]read a file
        [read|show me] [a|the] [text|text file|document]
        which file should you read
    """),
    "replace": templates("""
        [edit|change|modify|update|replace] [a file|the file|something|a word|text|a word in {file}|something in {file}|{file}|the file {file}]
        [fix a typo|make a change|change a line|replace some text] in {file}
        [edit|change] something
    """),
    "run": templates("""
        [run|execute] [a command|something|the command|a program|a shell command|my program|the program|the script]
        [run|execute] [the tests|my tests|tests|the test suite|the build|all tests]
        [use the shell|start the server|build the project|launch the app|open a terminal]
        [can you |i want to ]run a command
    """),
    "search": templates("""
        [search|find|grep|look for] [something|a word|some text|a text|for something]
        search [|the files|the code|all files|in {file}|for a word]
        find [something|a word] in {file}
        [can you |i want to ]search [for something|the files]
    """),
}
_TALK = (
    (GREETINGS, sentences.HELLO, 40),
    (SELF, sentences.ABOUT, 30),
    (THANKING, sentences.THANKS, 18),
    (PARTING, sentences.BYE, 12),
)


def small_talk(source: Source) -> tuple[str, str]:
    """A message and its fixed answer."""
    (options, answer, _), *_ = source.random.choices(
        _TALK, weights=[weight for *_, weight in _TALK]
    )
    return _finished(source, fill(source, options, SLOTS)[0]), answer


def off_topic(source: Source) -> str:
    dice = source.random.random()
    if dice < 0.85:
        text, _ = fill(source, OFF_TOPIC, SLOTS)
    elif dice < 0.92:
        text = sentence(source)
    elif dice < 0.96:
        text = " ".join(source.word() for _ in range(source.between(1, 10)))
    else:
        text = fill(source, _ODD, SLOTS)[0] if source.chance(0.6) else short(source)
    return _finished(source, text)


def vague(source: Source) -> tuple[str, str]:
    kind = source.pick(tuple(VAGUE))
    slots = {**SLOTS, "file": marked_path(source, source.path())}
    return fill(source, VAGUE[kind], slots)[0], sentences.QUESTIONS[kind]


def _finished(source: Source, text: str) -> str:
    text = text[:1].upper() + text[1:] if source.chance(0.5) else text
    if source.chance(0.4) and text[-1].isalnum():
        text += source.pick((".", "!", "?", "?"))
    return text
