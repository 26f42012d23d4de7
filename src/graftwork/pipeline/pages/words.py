"""Everything that the pages say, in English and Chinese. A name that is not here is shown as it is."""

from collections.abc import Mapping

from graftwork.pipeline.pages import evaluation_words, metric_words

Both = tuple[str, str]
"""The same in English and in Chinese."""

LABELS: Mapping[str, Both] = {
    **evaluation_words.LABELS,
    "language": ("Language", "语言"),
    "report": ("Data report", "数据报告"),
    "preview": ("What is learned", "训练内容预览"),
    "headline": (
        "{rows} rows: {used} used, {kept_back} kept back, none lost without a reason.",
        "共 {rows} 行：采用 {used} 行，隔离 {kept_back} 行，无一行去向不明。",
    ),
    "headline_all": (
        "{rows} rows: all of them used, none lost.",
        "共 {rows} 行：全部采用，无一行丢失。",
    ),
    "headline_lost": (
        "{rows} rows: {used} used, {kept_back} kept back. The sums do not add up. Do not rely on this data.",
        "共 {rows} 行：采用 {used} 行，隔离 {kept_back} 行。数目不符，请勿使用这份数据。",
    ),
    "lede": (
        "Every row of the sources is counted below, with what was done to it and why.",
        "数据源中的每一行都计入下文，并说明作何处理、依据何在。",
    ),
    "rows": ("Rows", "行数"),
    "rows_in": ("Rows read", "读入行数"),
    "used": ("Used", "采用"),
    "kept_back": ("Kept back", "隔离"),
    "repairs": ("Repairs", "修复"),
    "of_rows": ("{share} of all rows", "占全部行的 {share}"),
    "learned_tokens": ("Learned tokens", "计入损失的 token"),
    "in_training": ("in training rows", "训练序列中"),
    "done_to_text": ("kinds: {num}", "共 {num} 类"),
    "flow": ("The way of the rows", "数据流向"),
    "flow_about": (
        "From top to bottom. Widths are in proportion to numbers of rows; what leaves to the right is kept back.",
        "自上而下。宽度与行数成比例；向右离开的部分被隔离。",
    ),
    "sources_give": ("Sources give {num} rows", "数据源提供 {num} 行"),
    "go_on": ("{num} go on", "{num} 行继续"),
    "num_kept_back": ("{num} kept back", "隔离 {num} 行"),
    "nothing_kept_back": ("nothing kept back", "无隔离"),
    "split_into": ("{num} records are split into two sides", "{num} 条记录分为两侧"),
    "flow_table": ("The same as a table", "流向明细表"),
    "step": ("Step", "步骤"),
    "came_in": ("Came in", "进入"),
    "went_on": ("Went on", "通过"),
    "adds_up": ("Adds up", "核对"),
    "sum": ("Sum", "合计"),
    "sum_check": (
        "{rows} rows read = {used} used + {kept_back} kept back",
        "读入 {rows} 行 = 采用 {used} 行 + 隔离 {kept_back} 行",
    ),
    "sides_check": (
        "{used} used = {train} for training + {evaluation} held out",
        "采用 {used} 条 = 训练 {train} 条 + 留出 {evaluation} 条",
    ),
    "steps_check": (
        "What leaves one step comes into the next",
        "每一步通过的行数即下一步进入的行数",
    ),
    "quarantine_lies": (
        "Every row that was kept back, with its file, line and reason, is in",
        "所有被隔离的行，连同文件、行号和原因，见",
    ),
    "yes": ("yes", "相符"),
    "no": ("no", "不符"),
    "repairs_about": (
        "Repaired rows are kept. A row may be repaired in several ways, so these numbers are not a sum of rows.",
        "修复后的行予以保留。同一行可能有多处修复，因此下列数目之和并非行数。",
    ),
    "no_repairs": ("Nothing had to be repaired.", "无需修复。"),
    "what": ("What", "内容"),
    "reason": ("Reason", "原因"),
    "count": ("Number", "数量"),
    "share": ("Share", "占比"),
    "sides": ("Both sides", "训练集与留出集"),
    "side": ("Side", "用途"),
    "train": ("Training", "训练"),
    "evaluation": ("Held out", "留出（评估）"),
    "records": ("Records", "记录"),
    "token_rows": ("Token rows", "token 序列"),
    "tokens": ("Tokens", "token 数"),
    "median": ("Median", "中位长度"),
    "longest": ("Longest", "最长"),
    "digest": ("Digest", "摘要值"),
    "sides_about": (
        "A record longer than a row becomes several token rows (windows). Lengths are in tokens.",
        "超出长度上限的记录切为多个 token 序列（窗口）。长度以 token 计。",
    ),
    "spread": ("How it is spread", "分布"),
    "lengths": ("Length of token rows", "token 序列长度"),
    "tokens_range": ("Tokens", "token 数"),
    "languages": ("Script of the text", "文字种类"),
    "languages_about": (
        "Of all records that could be tokenised, before duplicates and the like are taken out.",
        "统计所有可分词的记录，在去重等全局检查之前。",
    ),
    "sources": ("Sources", "数据源"),
    "sources_about": (
        "Usable are the records that nothing by itself speaks against, before they are compared with one another.",
        "“可用”指逐条检查合格的记录，尚未进行相互比对（全局检查）。",
    ),
    "usable": ("Usable", "可用"),
    "file": ("File", "文件"),
    "layout": ("Layout", "数据格式"),
    "more_files": ("{num} more files", "其余 {num} 个文件"),
    "no_layout": ("none found", "未识别"),
    "personal": ("Personal data", "个人信息"),
    "personal_off": (
        "It was not looked for: data.privacy is off in the recipe.",
        "未作检查：配方中 data.privacy 为 off。",
    ),
    "personal_none": ("It was looked for, and none was found (mode: {mode}).", "已检查，未发现（处理方式：{mode}）。"),
    "personal_found": (
        "Found {finds} times, in {records} records. What was done with it: {mode}.",
        "在 {records} 条记录中发现 {finds} 处。处理方式：{mode}。",
    ),
    "personal_masked": ("The examples are masked.", "示例已遮盖。"),
    "kind": ("Kind", "类别"),
    "examples": ("Examples of every decision", "各类处理示例"),
    "examples_about": (
        "At most three of each, in the order of the sources. These are excerpts: only here are long texts cut.",
        "每类至多三例，按数据源顺序。示例为节选：长文本仅在此处截短。",
    ),
    "no_examples": ("There was nothing to decide: every row was used as it is.", "无需处理：所有行均原样采用。"),
    "kept_back_because": ("Kept back", "隔离"),
    "repaired": ("Repaired", "修复"),
    "before": ("before", "修复前"),
    "after": ("after", "修复后"),
    "no_difference": (
        "The excerpts do not differ: the repair lies beyond them.",
        "节选部分无差异：修复处在节选之外。",
    ),
    "proofs": ("Completeness", "完整性核验"),
    "lost": ("Learned tokens lost to cutting", "因切分丢失的、计入损失的 token"),
    "lost_about": (
        "Must be 0. Every token to learn is in exactly one row.",
        "必须为 0。每个计入损失的 token 恰好出现在一个序列中。",
    ),
    "unread": ("Records whose tokens do not read back", "token 无法还原为原文的记录"),
    "of_tried": ("{num} of {tried} tried", "抽查 {tried} 条，{num} 条不符"),
    "unread_about": (
        "The tokens of these say another text than the record: the base's tokenizer changes what it reads.",
        "这些记录的 token 解码后与原文不同：底座模型的分词器改动了文本。",
    ),
    "unread_none": (
        "All records that were tried read the same as before.",
        "抽查的记录均可由 token 还原为原文。",
    ),
    "made": ("How it was made", "生成信息"),
    "recipe": ("Recipe", "配方"),
    "glossary": ("What the words mean", "术语说明"),
    "learned": ("learned", "计入损失"),
    "context": ("context, not learned", "上下文，不计入损失"),
    "special": ("control token", "控制 token"),
    "border": ("Shades alternate from token to token.", "相邻 token 深浅交替。"),
    "newline": ("line break", "换行"),
    "hidden": ("character that is not seen", "不可见字符"),
    "preview_headline": (
        "{rows} training rows, token by token",
        "{rows} 个训练序列，逐 token 展示",
    ),
    "preview_about": (
        "The model learns to say the marked tokens, each from all before it; the others it only reads.",
        "模型学习生成标出的 token，每个都以其之前的全部内容为依据；其余 token 仅作为上下文。",
    ),
    "window_of": ("window {window} of {windows}", "窗口 {window}/{windows}"),
    "num_tokens": ("{num} tokens", "{num} 个 token"),
    "num_learned": ("{num} learned ({share})", "计入损失 {num} 个（{share}）"),
    "source_number": ("source {num}", "数据源 {num}"),
    "curves": ("Learning curves", "学习曲线"),
    "curves_headline": (
        "Held-out loss: {base} nats per token without the adapter, {adapter} with it at its best, after step {step}.",
        "留出集损失：不用适配器为 {base} nats/token，使用适配器最低为 {adapter}（第 {step} 步之后）。",
    ),
    "curves_no_looks": ("{steps} steps; the held-out loss was not looked at.", "共 {steps} 步；未查看留出集损失。"),
    "curves_facts": (
        "{steps} optimizer steps over {tokens} tokens, {seconds} in the steps themselves.",
        "优化器共 {steps} 步，处理 {tokens} 个 token，各步合计用时 {seconds}。",
    ),
    "loss": ("Loss", "损失"),
    "nats": ("nats per learned token; lower is better", "nats/计入损失的 token，越低越好"),
    "train_loss": ("training", "训练集"),
    "held_out_adapter": ("held out, with the adapter", "留出集，使用适配器"),
    "held_out_base": ("held out, base alone", "留出集，仅底座模型"),
    "rate": ("Learning rate", "学习率"),
    "rate_unit": ("size of Adam's step", "Adam 步长"),
    "grad_norm": ("Gradient norm", "梯度范数"),
    "norm_unit": ("no unit; of all trained tensors", "无量纲，取全部训练张量"),
    "angle": ("Largest angle between the gradients of two tasks", "两个任务的梯度之间的最大夹角"),
    "angle_90": ("90 degrees: above, they are in conflict", "90 度：高于此线即有冲突"),
    "angle_unit": ("degrees, before projection", "度，投影之前"),
    "singular": ("Largest singular value", "最大奇异值"),
    "singular_unit": ("no unit; of any factor, before it is capped", "无量纲，取各因子之最大者，限幅之前"),
    "by_step": ("Optimizer steps", "优化器步数"),
    "looks": ("Looks at the held-out loss", "留出集损失明细"),
    "looks_about": (
        "Always the same {num} records. Difference: adapter minus base, with its 95 % interval; below 0 is better.",
        "每次均为相同的 {num} 条记录。差值为适配器减底座，附 95 % 区间；小于 0 为优。",
    ),
    "looks_marks": ("▾ lower than ever before.", "▾ 历次最低。"),
    "after_step": ("After step", "步数"),
    "base_loss": ("Base", "底座模型"),
    "adapter_loss": ("Adapter", "适配器"),
    "difference": ("Difference", "差值"),
}

TERMS: Mapping[str, Both] = {
    **evaluation_words.TERMS,
    **metric_words.TERMS,
    "step.read": ("Read", "读取"),
    "step.layout": ("Layout", "格式识别"),
    "step.quality": ("Quality", "质量检查"),
    "step.privacy": ("Privacy", "隐私保护"),
    "step.template": ("Template", "对话模板"),
    "step.all records": ("All records", "全局检查"),
    "step.personal": ("Personal data", "个人信息"),
    "about.read": ("Can the row be read at all?", "该行能否读取？"),
    "about.layout": ("Is it a conversation or a text?", "是否为可用的对话或文本？"),
    "about.quality": ("Is it fit to be learned?", "内容是否值得学习？"),
    "about.privacy": ("May it be used, by the recipe's rule?", "按配方规则能否使用？"),
    "about.template": ("Can the base write it as tokens?", "底座模型能否将其写为 token？"),
    "about.all records": ("Does it repeat or contradict another?", "是否与其他记录重复或矛盾？"),
    "reason.json": ("not JSON", "JSON 格式错误"),
    "reason.not an object": ("not an object", "不是 JSON 对象"),
    "reason.csv": ("not CSV", "CSV 格式错误"),
    "reason.header": ("header repeated", "重复的表头"),
    "reason.utf-8": ("not UTF-8", "不是 UTF-8 编码"),
    "reason.encoding": ("encoding", "编码问题"),
    "reason.null bytes": ("null bytes", "含空字节"),
    "reason.value": ("value that cannot be read", "值无法读取"),
    "reason.damaged": ("damaged file", "文件损坏"),
    "reason.truncated": ("file ends too early", "文件不完整"),
    "reason.trailing bytes": ("bytes after the end", "文件末尾有多余字节"),
    "reason.layout": ("no known layout", "格式不符"),
    "reason.boilerplate": ("boilerplate", "套话或网页框架"),
    "reason.empty": ("empty", "空白"),
    "reason.language": ("another language", "语种不符"),
    "reason.length": ("too short or too long", "过短或过长"),
    "reason.repetition": ("repetition", "内容循环重复"),
    "reason.symbols": ("mostly symbols", "多为符号"),
    "reason.whitespace": ("white space", "空白字符"),
    "reason.personal data": ("personal data", "含个人信息"),
    "reason.template": ("refused by the template", "对话模板不接受"),
    "reason.marks": ("marks that are not asked for", "含未要求的标记"),
    "reason.no target": ("nothing to learn", "无可学习内容"),
    "reason.too long": ("too long", "过长"),
    "reason.system turn": ("system turn too long", "系统提示过长"),
    "reason.contradictions": ("contradictions", "答案矛盾"),
    "reason.duplicates": ("duplicates", "重复"),
    "reason.near_duplicates": ("near duplicates", "近似重复"),
    "reason.leakage": ("also held out", "与留出集重合"),
    "how.line ends": ("line ends", "换行符不统一"),
    "how.spaces without width": ("spaces without width", "零宽空格"),
    "how.blank lines": ("blank lines", "多余空行"),
    "how.white space": ("at the ends", "首尾"),
    "how.mojibake": ("wrong encoding undone", "乱码还原"),
    "how.control characters": ("control characters", "控制字符"),
    "script.zh": ("Chinese", "中文"),
    "script.latin": ("Latin", "拉丁字母"),
    "script.zh + latin": ("Chinese and Latin", "中文与拉丁字母混排"),
    "script.other": ("other", "其他"),
    "mode.mask": ("replaced by a word for its kind (mask)", "以类别名替换（mask）"),
    "mode.pseudonym": ("replaced by pseudonyms (pseudonym)", "以化名替换（pseudonym）"),
    "mode.drop": ("records with it are kept back (drop)", "含有者整条隔离（drop）"),
    "made.recipe_digest": ("Digest of the recipe", "配方摘要值"),
    "made.base": ("Base", "底座模型"),
    "made.tokenizer": ("Digest of the tokenizer", "分词器摘要值"),
    "made.template": ("Digest of the chat template", "对话模板摘要值"),
    "made.seed": ("Seed", "随机种子"),
    "made.max_tokens": ("Longest row, in tokens", "序列长度上限（token）"),
    "made.graftwork": ("graftwork", "graftwork 版本"),
    "made.python": ("Python", "Python 版本"),
    "kind.person": ("names of people", "姓名"),
    "kind.phone": ("phone numbers", "电话号码"),
    "kind.email": ("e-mail addresses", "电子邮箱"),
    "kind.address": ("addresses", "地址"),
    "kind.bank_card": ("bank cards", "银行卡号"),
    "kind.birth_date": ("dates of birth", "出生日期"),
    "kind.credit_code": ("company codes (China)", "统一社会信用代码"),
    "kind.hong_kong_id": ("Hong Kong identity cards", "香港身份证号"),
    "kind.iban": ("bank accounts (IBAN)", "国际银行账号（IBAN）"),
    "kind.ip_address": ("IP addresses", "IP 地址"),
    "kind.licence_plate": ("licence plates", "车牌号"),
    "kind.mac_address": ("MAC addresses", "MAC 地址"),
    "kind.macau_id": ("Macau identity cards", "澳门身份证号"),
    "kind.passport": ("passports", "护照号"),
    "kind.record_number": ("file and patient numbers", "病历号、档案号"),
    "kind.resident_id": ("resident identity cards (China)", "居民身份证号"),
    "kind.social_id": ("accounts of messengers", "社交账号"),
    "kind.taiwan_id": ("Taiwan identity cards", "台湾身份证号"),
    "kind.travel_permit": ("travel permits", "通行证号"),
    "kind.uk_nhs": ("NHS numbers (UK)", "英国 NHS 号码"),
    "kind.uk_nino": ("National Insurance numbers (UK)", "英国国民保险号"),
    "kind.us_ssn": ("Social Security numbers (US)", "美国社会保障号"),
}


def label(key: str, **values: object) -> Both:
    """What `key` says, with `values` in it; of a pair, each language gets its own.

    >>> label("more_files", num="9")
    ('9 more files', '其余 9 个文件')
    """
    english, chinese = LABELS[key]
    return english.format(**_side(values, 0)), chinese.format(**_side(values, 1))


def _side(values: Mapping[str, object], side: int) -> dict[str, object]:
    return {name: value[side] if isinstance(value, tuple) else value for name, value in values.items()}


def term(group: str, name: str) -> Both:
    """What a name from the data room is called; as it is when nobody gave it a word.

    >>> term("step", "quality"), term("step", "unheard of")
    (('Quality', '质量检查'), ('unheard of', 'unheard of'))
    """
    return TERMS.get(f"{group}.{name}", (name, name))


def titled(word: Both) -> Both:
    """`word` as a heading; a name with capitals of its own, such as chrF, stays.

    >>> titled(("answers lost", "丢失的正确回答"))[0], titled(("chrF", "chrF"))[0]
    ('Answers lost', 'chrF')
    """
    english, chinese = word
    return (english if english != english.lower() else english[:1].upper() + english[1:]), chinese


def metric_word(name: str) -> Both:
    """What a metric is called; its name in words when nobody gave it one."""
    return TERMS.get(f"metric.{name}", (name.replace("_", " "), name.replace("_", " ")))


def repair(name: str) -> Both:
    """What a repair is called: a check, and what it changed.

    >>> repair("whitespace: line ends, blank lines")
    ('white space: line ends, blank lines', '空白字符：换行符不统一、多余空行')
    """
    check, _, hows = name.partition(": ")
    checked = term("reason", check)
    told = [term("how", how) for how in hows.split(", ")] if hows else []
    if not told:
        return checked
    english, chinese = zip(*told, strict=True)
    return f"{checked[0]}: {', '.join(english)}", f"{checked[1]}：{'、'.join(chinese)}"
