"""What the evaluation report says, in English and Chinese. A name that is not here is shown as it is."""

from collections.abc import Mapping

LABELS: Mapping[str, tuple[str, str]] = {
    "evaluation_report": ("Evaluation report", "评估报告"),
    "contents": ("Contents", "目录"),
    "said_first": ("Beside {reference}, {subject} is {told}", "与{reference}相比，{subject}{told}"),
    "said_next": ("beside {reference} it is {told}", "与{reference}相比，{told}"),
    "said_better": ("better in {where}", "在{where}上更好"),
    "said_worse": ("worse in {where}", "在{where}上变差"),
    "said_worse_nowhere": ("worse in nothing", "没有一项变差"),
    "said_not_worse": ("not worse in {where}", "在{where}上不逊色"),
    "said_not_shown": ("undecided in {where}", "在{where}上尚无定论"),
    "said_keeps_up": (
        "it keeps up with {reference} in {kept} of {num} dimensions",
        "与{reference}相比，{num} 个维度中有 {kept} 个不逊色",
    ),
    "evaluated_nothing_trained": (
        "{items} items scored on the base alone.",
        "仅在底座模型上评估了 {items} 个题目。",
    ),
    "evaluated_without_reference": (
        "{items} items scored; there is nothing to compare them with.",
        "评估了 {items} 个题目，没有可比较的对象。",
    ),
    "evaluation_lede": (
        (
            "Every subject was asked the same {items} items. “Better” and “worse” are said only where chance does not"
            " explain the difference, all main numbers taken together; “undecided” means too few items."
        ),
        (
            "所有对象回答相同的 {items} 个题目。只有在综合全部主要指标后、差异无法用偶然解释时，才称“更好”或“变"
            "差”；“尚无定论”表示样本不足。"
        ),
    ),
    "tile_items": ("Items", "题目"),
    "tile_subjects": ("Subjects", "评估对象"),
    "tile_dimensions": ("Dimensions", "维度"),
    "tile_certificate": ("Certificate", "证书"),
    "in_groups": ("in {num} groups", "分为 {num} 组"),
    "overview": ("At a glance", "总览"),
    "overview_about": (
        "Main numbers of each dimension with their 95 % intervals.",
        "各维度的主要指标，附 95 % 区间。",
    ),
    "dimension": ("Dimension", "维度"),
    "metric": ("Number", "指标"),
    "verdict": ("Verdict", "结论"),
    "beside": ("beside {reference}", "与{reference}相比"),
    "not_measured": ("not measured", "未测"),
    "gain_and_cost": ("Gain, and what was forgotten", "收益与遗忘"),
    "gain_about": (
        (
            "What the training brought in its field, and beside it what it did to what the base knew before. Right of"
            " the line is better."
        ),
        "左侧为训练在目标领域带来的变化，右侧为对底座原有能力的影响。竖线右侧为更好。",
    ),
    "gain": ("In its field", "目标领域"),
    "forgetting": ("What the base knew before", "底座原有能力"),
    "forgetting_not_measured": (
        (
            "Not measured: this evaluation had no general questions. A gain may have been paid for with what the base"
            " could do before."
        ),
        "未测：本次评估没有通用题目。领域内的提升可能以底座原有能力的下降为代价。",
    ),
    "nothing_compared": ("There was nothing to compare with.", "没有可比较的对象。"),
    "values": ("Values", "数值"),
    "differences": ("Differences", "差异"),
    "caption_value": ("{name}: {unit}, {better}", "{name}：{unit}，{better}"),
    "caption_apart": ("{name}: {unit}.", "{name}：{unit}。"),
    "caption_parts": ("{name}, by part", "{name}：分项"),
    "whom": ("Subject", "对象"),
    "value_95": ("Value and 95 % interval", "数值与 95 % 区间"),
    "difference_95": ("Difference and 95 % interval", "差异与 95 % 区间"),
    "picture": ("As a picture", "图示"),
    "less_better": ("less is better", "越小越好"),
    "more_better": ("more is better", "越大越好"),
    "items_of_groups": (
        "{items} items; {groups} groups that do not depend on each other.",
        "{items} 个题目，分属 {groups} 个相互独立的组。",
    ),
    "items_alone": ("{items} items, each by itself.", "{items} 个题目，相互独立。"),
    "items_unscored": ("{num} items gave {subject} no number.", "{subject}有 {num} 个题目没有得分。"),
    "right_is_better": (
        "Right of the line is better.",
        "竖线右侧为更好。",
    ),
    "margin_line": (
        "Dashed: the margin, {margin}. An interval that ends right of it is “not worse”.",
        "虚线为容许界限 {margin}；区间完全位于其右侧即为“不逊色”。",
    ),
    "no_interval": ("no interval", "无区间"),
    "no_interval_item": ("no interval: {num} item", "无区间：只有 {num} 题"),
    "no_interval_items": ("no interval: {num} items", "无区间：只有 {num} 题"),
    "no_interval_groups": ("no interval: items of {num} groups", "无区间：题目只有 {num} 组"),
    "minus": ("{subject} minus {reference}", "{subject}减{reference}"),
    "items_changed": ("{better} items better, {worse} worse", "{better} 题变好，{worse} 题变差"),
    "items_would_show": (
        "about {num} items would show that it is not worse, if nothing differs",
        "若并无差别，约需 {num} 个题目才能证明不逊色",
    ),
    "smallest_shown": (
        "a true difference of {num} would show with a chance of 80 %",
        "真实差异达到 {num} 时，有 80 % 的把握测出",
    ),
    "slices": ("By part", "分项"),
    "slices_about": (
        (
            "The same number on parts of the items. Marked: where a subject is worst, among parts that are large "
            "enough to say so."
        ),
        "同一指标在各部分题目上的数值。标出的是各对象在样本足够的部分中表现最差之处。",
    ),
    "slice": ("Part", "部分"),
    "worst": ("worst", "最差"),
    "other_numbers": ("Further numbers", "其他指标"),
    "other_about": ("They are shown, and no verdict follows from them.", "仅供参考，不据此下结论。"),
    "changed": ("Examples that changed", "发生变化的示例"),
    "changed_about": (
        "Texts are shown as they were asked and said, after de-identification of the data if the recipe asked for it.",
        "按原样显示提问与回答；若配方要求，数据已去标识化。",
    ),
    "changed_better": ("better", "变好"),
    "changed_worse": ("worse", "变差"),
    "nothing_changed": ("No item changed its score.", "没有题目的得分发生变化。"),
    "asked": ("asked", "提问"),
    "expected": ("expected", "期望"),
    "no_text": ("no text", "无文本"),
    "efficiency": ("Cost", "开销"),
    "certificate": ("Certificate", "证书"),
    "certificate_holds": (
        "All subjects were evaluated on equal terms: the same items, decoding, libraries and machine.",
        "所有对象在同等条件下评估：题目、解码方式、软件库与机器均相同。",
    ),
    "certificate_refused": (
        "The subjects were not evaluated on equal terms. Do not compare their numbers.",
        "各对象的评估条件不一致，请勿比较其数值。",
    ),
    "certificate_none": (
        "None. Nothing on record shows that the subjects were evaluated on equal terms.",
        "无。没有记录证明各对象在同等条件下评估。",
    ),
    "certificate_short_holds": ("valid", "有效"),
    "certificate_short_refused": ("refused", "不成立"),
    "certificate_short_none": ("none", "无"),
    "certificate_digest": ("Digest of the certificate", "证书摘要值"),
    "data_and_lineage": ("Data and lineage", "数据与来源"),
    "data_used": ("Rows read, used, kept back", "读入、采用、隔离的行数"),
    "data_sides": ("Records: training, held out", "记录：训练、留出"),
    "data_personal": ("Personal data", "个人信息"),
    "data_personal_found": ("{num} records ({mode})", "{num} 条记录（{mode}）"),
    "data_personal_none": ("none found ({mode})", "未发现（{mode}）"),
    "data_personal_off": ("not looked for", "未作检查"),
    "lineage_recipe": ("Digest of the recipe", "配方摘要值"),
    "lineage_base": ("Base, digest of its weights", "底座模型及其权重摘要值"),
    "lineage_trained": ("Digest of what was trained", "训练结果摘要值"),
    "lineage_on": ("It stands on the adapter", "其下层适配器"),
    "lineage_stages": ("Stages", "训练阶段"),
    "lineage_train_data": ("Digest of the training rows", "训练数据摘要值"),
    "lineage_held_data": ("Digest of the held-out rows", "留出数据摘要值"),
    "lineage_seed": ("Seed", "随机种子"),
    "lineage_versions": ("Versions", "版本"),
    "manifest": ("Manifest", "评估环境清单"),
    "manifest_about": (
        "With what each subject was evaluated. What is not the same for all is marked.",
        "各对象的评估条件。不一致之处已标出。",
    ),
    "same_for_all": ("the same for all", "全部相同"),
    "differs": ("differs", "不一致"),
    "setting": ("Setting", "项目"),
    "limits": ("Limits", "局限"),
    "limit_other_data": (
        (
            "Intervals tell how much chance is in these items. They do not tell how other data, other users or other "
            "times would differ."
        ),
        "区间只反映这些题目中的偶然性，不反映其他数据、其他用户或其他时间的差异。",
    ),
    "limit_greedy": (
        "Answers are greedy: the most likely token each time. With sampling they vary.",
        "回答采用贪心解码，每次取最可能的 token；若采用采样，回答会有变化。",
    ),
    "limit_not_shown": (
        "{dimension}: beside {reference}, too few items to say anything. That is no proof that nothing changed.",
        "{dimension}：与{reference}相比样本不足，尚无定论；这不等于没有变化。",
    ),
    "limit_no_full": (
        "Full tuning of the same base was not evaluated, so nothing is said of how the adapter compares with it.",
        "未评估同一底座的全量微调，因此无法说明适配器与其差距。",
    ),
    "limit_no_forgetting": (
        "What the base forgot was not measured.",
        "未测遗忘程度。",
    ),
    "limit_no_certificate": (
        "There is no certificate that all subjects were evaluated on equal terms.",
        "没有证书证明各对象在同等条件下评估。",
    ),
    "limit_notes": ("As noted during the evaluation:", "评估过程中的说明："),
    "read_as": ("How to read this", "阅读说明"),
}

TERMS: Mapping[str, tuple[str, str]] = {
    "subject.base": ("Base", "底座模型"),
    "subject.below": ("What it stands on", "下层适配器"),
    "subject.adapter": ("Adapter", "适配器"),
    "subject.full": ("Full tuning", "全量微调"),
    "sentence.base": ("its base", "底座模型"),
    "sentence.below": ("what it stands on", "下层适配器"),
    "sentence.adapter": ("the adapter", "适配器"),
    "sentence.full": ("full tuning", "全量微调"),
    "verdict.better": ("better", "更好"),
    "verdict.not worse": ("not worse", "不逊色"),
    "verdict.worse": ("worse", "变差"),
    "verdict.not shown": ("undecided", "尚无定论"),
    "slice.language": ("language", "语言"),
    "slice.source": ("source", "数据源"),
    "slice.label": ("label", "标签"),
    "slice.script": ("script", "文字"),
    "slice.part": ("part", "部分"),
    "slice.disturbance": ("disturbance", "干扰"),
    "slice.severity": ("severity", "程度"),
    "language.zh": ("Chinese", "中文"),
    "language.en": ("English", "英文"),
    "disturbance.case": ("letter case", "大小写"),
    "disturbance.distractor": ("sentence beside the point", "无关语句"),
    "disturbance.frame": ("other frame of the question", "换一种问法"),
    "disturbance.homophones": ("homophones", "同音字"),
    "disturbance.keyboard": ("neighbouring keys", "相邻按键"),
    "disturbance.option_order": ("order of options", "选项顺序"),
    "disturbance.script": ("traditional or simplified", "繁简转换"),
    "disturbance.spaces": ("spaces", "空格"),
    "disturbance.typos": ("typos", "错别字"),
    "disturbance.width": ("full or half width", "全角半角"),
    "severity.unseen": ("not noticed", "不易察觉"),
    "severity.seen": ("noticed", "可以察觉"),
    "severity.in the way": ("in the way", "妨碍阅读"),
    "part.facts": ("facts", "事实"),
    "part.records": ("held-out records", "留出记录"),
    "part.entities": ("entities", "实体"),
    "part.coreference": ("coreference", "指代"),
    "part.relations: order": ("relations: order", "关系：顺序"),
    "part.relations: chain": ("relations: chain", "关系：传递"),
    "part.relations: tie": ("relations: tie", "关系：相等"),
}

GLOSSARY: tuple[tuple[tuple[str, str], tuple[str, str]], ...] = (
    (
        ("Better, worse", "更好、变差"),
        (
            "The difference is larger than chance explains (below 5 %, Holm over the main numbers of all dimensions).",
            "差异超出偶然所能解释的范围（低于 5 %，对所有维度的主要指标作 Holm 校正）。",
        ),
    ),
    (
        ("Not worse", "不逊色"),
        (
            "If it is worse at all, then by less than the margin that the recipe sets.",
            "即使变差，幅度也小于配方规定的容许界限。",
        ),
    ),
    (
        ("Undecided", "尚无定论"),
        (
            "The items are too few to say any of these. It does not mean “the same”.",
            "题目太少，无法得出上述任何结论；并不表示“相同”。",
        ),
    ),
    (
        ("95 % interval", "95 % 区间"),
        (
            "Drawn as a line: in 95 of 100 such evaluations it holds the true value. The dot is what was measured.",
            "以横线表示：一百次这样的评估中约有 95 次包含真实值；圆点为实测值。",
        ),
    ),
    (
        ("Group", "组"),
        (
            (
                "Items that depend on each other, such as variants of one question. They count as one when chance is "
                "weighed."
            ),
            "彼此相关的题目，例如同一问题的不同表述；衡量偶然性时按一个计算。",
        ),
    ),
    (
        ("Digest", "摘要值"),
        (
            "SHA-256 over the content. The same content has the same digest on any machine.",
            "内容的 SHA-256 值。相同的内容在任何机器上摘要值相同。",
        ),
    ),
)
