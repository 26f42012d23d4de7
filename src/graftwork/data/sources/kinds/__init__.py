"""The kinds of files. One more kind is one more file here and one more import line."""

from graftwork.data.sources.kinds import arrow, json_lines, json_list, parquet, plain_text, separated

__all__ = ["arrow", "json_lines", "json_list", "parquet", "plain_text", "separated"]
