"""What the words of the data report mean, in English and Chinese."""

from graftwork.pipeline.pages.words import Both

GLOSSARY: tuple[tuple[Both, Both], ...] = (
    (
        ("Row", "行"),
        (
            "One entry of a source: a line, an element of a list or a row of a table.",
            "数据源中的一个条目：一行文本、列表中的一项或表格中的一行。",
        ),
    ),
    (
        ("Record", "记录"),
        (
            "A row that could be read, as a conversation or a text.",
            "读取成功的一行，表示为一段对话或一篇文本。",
        ),
    ),
    (
        ("Kept back", "隔离"),
        (
            "Not used, with file, line and reason on record. Nothing is deleted from the sources.",
            "不予采用，并记录文件、行号和原因。数据源本身不作任何删改。",
        ),
    ),
    (
        ("Held out", "留出"),
        (
            "Never trained on; what the adapter is measured by.",
            "不参与训练，用于衡量适配器的效果。",
        ),
    ),
    (
        ("Token", "token"),
        (
            "A piece of text as the base model reads it. A Chinese character may be one or several.",
            "底座模型读取文本的最小单位。一个汉字可能对应一个或多个 token。",
        ),
    ),
    (
        ("Learned token", "计入损失的 token"),
        (
            "A token that the model is trained to produce. It only reads the others.",
            "模型要学会生成的 token；其余 token 只作为上下文。",
        ),
    ),
    (
        ("Window", "窗口"),
        (
            "A stretch of a record that is too long for one row. Windows overlap, and no token is learned twice.",
            "记录超出序列长度上限时切出的一段。窗口之间有重叠，但每个 token 只学习一次。",
        ),
    ),
    (
        ("Digest", "摘要值"),
        (
            "SHA-256 over the content. The same data has the same digest on any machine.",
            "内容的 SHA-256 值。相同的数据在任何机器上摘要值相同。",
        ),
    ),
)
