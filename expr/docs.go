package expr

import (
	"cmp"
	"slices"
)

// Doc says what a function or a name does. The example of a function is an
// expression that is true; that of an aggregate is a field of an aggregate step.
type Doc struct {
	Name, Signature, Text, Example string
	Group                          string // text, numbers, …; aggregates and names have groups of their own
	Built                          bool
}

type doc struct{ name, text, example string }

// Docs describes all functions, aggregates and names with a sigil, in the order
// in which they are shown.
func Docs() []Doc {
	var out []Doc
	for _, g := range []struct {
		name string
		docs []doc
	}{
		{"text", textDocs}, {"numbers", numberDocs}, {"lists and maps", listDocs}, {"time", timeDocs},
		{"conversion", conversionDocs}, {"hashing", hashDocs},
	} {
		for _, d := range g.docs {
			out = append(out, Doc{Name: d.name, Signature: signature(d.name), Text: d.text, Example: d.example, Group: g.name, Built: true})
		}
	}
	aggregates := make([]Doc, 0, len(aggregateDocs))
	for _, d := range aggregateDocs {
		f := aggregateOf(d.name)
		aggregates = append(aggregates, Doc{Name: d.name, Signature: f.sig, Text: d.text, Example: d.example, Group: "aggregate", Built: f.built})
	}
	order := func(name string) int {
		return slices.IndexFunc(aggregateFunctions, func(f aggregateFunction) bool { return f.name == name })
	}
	slices.SortStableFunc(aggregates, func(a, b Doc) int { return cmp.Compare(order(a.Name), order(b.Name)) })
	out = append(out, aggregates...)
	for _, d := range nameDocs {
		out = append(out, Doc{Name: d.name, Signature: d.name, Text: d.text, Example: d.example, Group: "names", Built: true})
	}
	return out
}

func signature(name string) string {
	if f, ok := functions[name]; ok {
		if p, both := predicateFunctions[name]; both {
			return p.sig
		}
		return f.sig
	}
	return predicateFunctions[name].sig
}

var textDocs = []doc{
	{"upper", "Text in capital letters.", `upper("é1") == "É1"`},
	{"lower", "Text in small letters.", `lower("PARIS") == "paris"`},
	{"trim", "Without white space at both ends, or without the given characters.", `trim(" a ") + trim("--b-", "-") == "ab"`},
	{"ltrim", "Without white space at the beginning.", `ltrim(" a ") == "a "`},
	{"rtrim", "Without white space at the end.", `rtrim(" a ") == " a"`},
	{"trimPrefix", "Without a prefix, if it is there.", `trimPrefix("v1.2", "v") == "1.2"`},
	{"trimSuffix", "Without a suffix, if it is there.", `trimSuffix("a.csv", ".csv") == "a"`},
	{"split", "The parts between separators; with n at most n parts.", `split("a/b/c", "/", 2) == ["a", "b/c"]`},
	{"split_re", "The parts between matches of a regular expression.", `split_re("a1b22c", "[0-9]+") == ["a", "b", "c"]`},
	{"replace", "Every occurrence replaced.", `replace("1.000.000", ".", "") == "1000000"`},
	{"replace_re", "Every match of a regular expression replaced; $1 is its first group.", `replace_re("2026-11", "(\\d+)-(\\d+)", "$2/$1") == "11/2026"`},
	{"extract", "The match of a regular expression, or one of its groups; null if nothing matches.", `extract("GET /a HTTP/1.1", "^\\w+ (\\S+)", 1) == "/a"`},
	{"repeat", "The text n times.", `repeat("ab", 3) == "ababab"`},
	{"join", "The elements of a list as one text.", `join(["a", "b"], ", ") == "a, b"`},
	{"indexOf", "The place of the first occurrence, from 0 in characters; -1 if there is none.", `indexOf("kafka", "k") == 0`},
	{"lastIndexOf", "The place of the last occurrence; -1 if there is none.", `lastIndexOf("kafka", "k") == 3`},
	{"lpad", "Filled up to n characters from the left.", `lpad("7", 3, "0") == "007"`},
	{"rpad", "Filled up to n characters from the right.", `rpad("a", 3, ".") == "a.."`},
	{"mask", "All but the last characters hidden.", `mask("4111222233334444", 4) endsWith "4444"`},
	{"format", "Text with values put in for {}; {:.2} has two decimals, {:05} zeros in front.", `format("{} of {:.1}", 3, 4.0) == "3 of 4.0"`},
}

var numberDocs = []doc{
	{"abs", "Without sign.", `abs(-3) == 3`},
	{"ceil", "Up to the next whole number.", `ceil(1.2) == 2`},
	{"floor", "Down to the next whole number.", `floor(-1.2) == -2`},
	{"round", "To the nearest whole number, or to some decimals; halves go away from zero.", `round(-2.5) == -3`},
	{"sign", "-1, 0 or 1.", `sign(-8) == -1`},
	{"sqrt", "Square root.", `sqrt(9) == 3.0`},
	{"exp", "e to the power of x.", `exp(0) == 1.0`},
	{"ln", "Natural logarithm.", `ln(1) == 0.0`},
	{"log10", "Logarithm to the base 10.", `log10(1000) > 2.999`},
	{"div", "Division of whole numbers, toward zero.", `div(-7, 2) == -3`},
	{"least", "The smallest of the values.", `least(3, 1, 2) == 1`},
	{"greatest", "The largest of the values.", `greatest(3, 1, 2) == 3`},
	{"random", "A number from 0 to below 1, or a whole number from a to b. Another one in a replay.", `random(1, 6) in 1..6`},
}

var listDocs = []doc{
	{"len", "Number of characters, bytes, elements or members; 0 for null.", `len("kafka") == 5`},
	{"all", "Whether the condition holds for all elements.", `all([2, 4], # % 2 == 0)`},
	{"any", "Whether the condition holds for one element at least.", `any([1, 4], # > 3)`},
	{"none", "Whether the condition holds for no element.", `none([1, 4], # > 5)`},
	{"one", "Whether the condition holds for exactly one element.", `one([1, 4], # > 3)`},
	{"filter", "The elements for which the condition holds.", `filter([1, 2, 3], # > 1) == [2, 3]`},
	{"map", "The results of an expression for the elements.", `map([1, 2], # * 10) == [10, 20]`},
	{"find", "The first element for which the condition holds, or null.", `find([1, 5, 7], # > 2) == 5`},
	{"findIndex", "The place of the first such element, or null.", `findIndex([1, 5], # > 2) == 1`},
	{"findLast", "The last element for which the condition holds, or null.", `findLast([1, 5, 7], # > 2) == 7`},
	{"findLastIndex", "The place of the last such element, or null.", `findLastIndex([1, 5, 7], # > 2) == 2`},
	{"sum", "The sum of a list, or of an expression for its elements. In a field of `aggregate` it is the aggregate.", `sum([{"q": 2}, {"q": 3}], .q) == 5`},
	{"min", "The smallest element, or the smallest of several values.", `min([3, 1]) == 1`},
	{"max", "The largest element, or the largest of several values.", `max(3, 1) == 3`},
	{"mean", "The average of a list.", `mean([1, 2]) == 1.5`},
	{"median", "The middle of a list.", `median([1, 2, 9]) == 2`},
	{"first", "The first element, or null.", `first([1, 2]) == 1`},
	{"last", "The last element, or null.", `last([1, 2]) == 2`},
	{"take", "The first n elements.", `take([1, 2, 3], 2) == [1, 2]`},
	{"get", "An element by its place or a member by its name; null if it is not there.", `get([1, 2], 5) == nil`},
	{"sort", "The elements in order.", `sort([2, 1], "desc") == [2, 1]`},
	{"sortBy", "The elements in the order of an expression.", `sortBy(["bb", "a"], len(#)) == ["a", "bb"]`},
	{"reverse", "A list or a text from back to front.", `reverse("abc") == "cba"`},
	{"uniq", "The elements without repetitions.", `uniq([1, 1, 2]) == [1, 2]`},
	{"flatten", "Lists within the list dissolved.", `flatten([[1], [2, [3]]]) == [1, 2, 3]`},
	{"concat", "Lists one behind the other.", `concat([1], [2]) == [1, 2]`},
	{"zip", "Pairs of the elements at the same place.", `len(zip([1, 2], ["a", "b"])) == 2`},
	{"keys", "The names of the members, sorted.", `keys({"b": 1, "a": 2}) == ["a", "b"]`},
	{"values", "The members in the order of their sorted names.", `values({"b": 1, "a": 2}) == [2, 1]`},
	{"has", "Whether there is a member of this name.", `has({"a": nil}, "a")`},
	{"merge", "The members of both; those of b win.", `merge({"a": 1}, {"a": 2}) == {"a": 2}`},
}

var timeDocs = []doc{
	{"now", "The time of processing. Another one in a replay.", `now() > timestamp("2020-01-01T00:00:00Z")`},
	{"duration", "A duration from text such as 10m or 1h30m.", `duration("1h") / duration("1m") == 60.0`},
	{"timestamp", "A timestamp from RFC 3339 text, from text with a Go layout, or from epoch milliseconds.", `timestamp("02.01.2026 10:00", "02.01.2006 15:04") == timestamp("2026-01-02T10:00:00Z")`},
	{"from_millis", "A timestamp from milliseconds since 1970.", `from_millis(0) == timestamp("1970-01-01T00:00:00Z")`},
	{"from_seconds", "A timestamp from seconds since 1970.", `from_seconds(1) == from_millis(1000)`},
	{"millis", "Milliseconds since 1970, or of a duration.", `millis(duration("1s")) == 1000`},
	{"seconds", "Seconds since 1970, or of a duration.", `seconds(duration("1m")) == 60.0`},
	{"date", "The day of a timestamp.", `string(date(timestamp("2026-01-31T23:30:00Z"), "Europe/Berlin")) == "2026-02-01"`},
	{"date_trunc", "The beginning of the year, quarter, month, week, day, hour, minute, second or millisecond.", `date_trunc("month", timestamp("2026-01-31T10:00:00Z")) == timestamp("2026-01-01T00:00:00Z")`},
	{"date_part", "One part of a timestamp; besides the units of date_trunc weekday (Monday is 1) and yearday.", `date_part("hour", timestamp("2026-01-31T10:00:00Z")) == 10`},
	{"format_time", "A timestamp as text with a Go layout.", `format_time(timestamp("2026-01-31T10:00:00Z"), "2006-01-02") == "2026-01-31"`},
}

var conversionDocs = []doc{
	{"int", "A whole number from text or from a number, toward zero.", `int("42") + int(1.9) == 43`},
	{"float", "A floating point number.", `float("1.5") == 1.5`},
	{"decimal", "An exact decimal number, with so many decimals.", `string(decimal("1.5", 2)) == "1.50"`},
	{"bool", "True or false from text.", `bool("true")`},
	{"string", "Anything as text.", `string(1.50) == "1.5"`},
	{"bytes", "Text as bytes.", `hex(bytes("a")) == "61"`},
	{"hex", "Bytes as hexadecimal text.", `hex("k") == "6b"`},
	{"unhex", "Bytes from hexadecimal text.", `unhex("6b") == bytes("k")`},
	{"toJSON", "Anything as JSON text.", `toJSON([1, nil]) == "[1,null]"`},
	{"fromJSON", "The value of JSON text.", `fromJSON("{\"a\":1}").a == 1`},
	{"toBase64", "Bytes as base64 text.", `toBase64("k") == "aw=="`},
	{"fromBase64", "Bytes from base64 text.", `fromBase64("aw==") == bytes("k")`},
	{"type", "The type of a value as text.", `type(1.5) == "float"`},
	{"try", "The expression, or the default if it fails.", `try(int("x"), 0) == 0`},
	{"coalesce", "The first value that is not null.", `coalesce(nil, nil, 3) == 3`},
	{"nullif", "Null if both are equal, else a.", `nullif("", "") == nil`},
	{"is_null", "Whether a value is null.", `is_null(nil)`},
}

var hashDocs = []doc{
	{"md5", "MD5 as hexadecimal text.", `md5("") == "d41d8cd98f00b204e9800998ecf8427e"`},
	{"sha1", "SHA-1 as hexadecimal text.", `sha1("") startsWith "da39a3ee"`},
	{"sha256", "SHA-256 as hexadecimal text.", `sha256("") startsWith "e3b0c442"`},
	{"xxhash", "xxHash64 as a whole number.", `xxhash("a") != xxhash("b")`},
	{"crc32", "CRC-32 as a whole number.", `crc32("123456789") == 3421780262`},
	{"murmur2", "The hash by which Kafka clients choose a partition.", `murmur2("a") != murmur2("b")`},
	{"uuid", "A random UUID. Another one in a replay.", `len(string(uuid())) == 36`},
}

var aggregateDocs = []doc{
	{"count", "Number of rows, or of those where x is not null.", "views: count()"},
	{"count_if", "Number of rows for which the condition is true.", "errors: count_if(status >= 500)"},
	{"sum", "The sum.", "revenue: sum(amount)"},
	{"sum_if", "The sum over the rows for which the condition is true.", "refunds: sum_if(amount, kind == \"refund\")"},
	{"avg", "The average; of decimals a decimal.", "mean: avg(amount)"},
	{"min", "The smallest value.", "cheapest: min(price)"},
	{"max", "The largest value.", "dearest: max(price)"},
	{"min_by", "A value of the row with the smallest `by`.", "cheapest: min_by(id, price)"},
	{"max_by", "A value of the row with the largest `by`.", "dearest: max_by(id, price)"},
	{"first", "The value of the earliest row by event time.", "opened: first(price)"},
	{"last", "The value of the latest row by event time.", "closed: last(price)"},
	{"collect", "All values as a list.", "ids: collect(id)"},
	{"collect_set", "All different values as a list.", "pages: collect_set(page)"},
	{"collect_map", "An object of keys and values.", "prices: collect_map(product, price)"},
	{"count_distinct", "Number of different values; all of them are kept.", "users: count_distinct(user_id)"},
	{"median", "The middle value; all of them are kept.", "median: median(latency)"},
	{"percentile", "The value below which a share of the others lies; all of them are kept.", "p99: percentile(latency, 0.99)"},
	{"variance", "How far values lie from their average, squared.", "spread: variance(x)"},
	{"stddev", "How far values lie from their average.", "spread: stddev(x)"},
	{"bool_and", "Whether all are true.", "ok: bool_and(valid)"},
	{"bool_or", "Whether one is true.", "alarm: bool_or(failed)"},
	{"string_agg", "All texts with a separator between.", `names: string_agg(name, ", ")`},
	{"any_value", "One of the values.", "city: any_value(city)"},
	{"approx_count_distinct", "About the number of different values, in little memory.", "users: approx_count_distinct(user_id)"},
	{"top_k", "The k most frequent values.", "pages: top_k(page, 3)"},
}

var nameDocs = []doc{
	{"$value", "The whole value of the record.", "map: merge($value, {\"seen\": now()})"},
	{"$key", "The key of the record: that of the topic, or of the last key_by.", "aggregate: {page: $key, views: count()}"},
	{"$ts", "The event time, in whole milliseconds.", "set: {at: $ts}"},
	{"$record_ts", "The timestamp of the record in Kafka. Not behind a stateful step.", "event_time: $record_ts"},
	{"$topic", "The topic the record came from. Not behind a stateful step.", "set: {origin: $topic}"},
	{"$partition", "The partition the record came from. Not behind a stateful step.", "set: {p: $partition}"},
	{"$offset", "The offset of the record. Not behind a stateful step.", "set: {o: $offset}"},
	{"$headers", "The headers of the record, as bytes. Not behind a key_by or partition.", `filter: $headers["retry"] == nil`},
	{"$op", "insert, update or delete, in a stream of corrections.", `filter: $op != "delete"`},
	{"$window.start", "The beginning of the window, in a windowed step and behind it.", "aggregate: {start: $window.start, n: count()}"},
	{"$window.end", "The end of the window, which does not belong to it.", "aggregate: {end: $window.end, n: count()}"},
	{"$n", "The counter of a generate source, from 0.", "record: {id: $n}"},
	{"$error.code", "Why a record is in a side output of on_error.", "set: {reason: $error.code}"},
	{"$error.message", "The words of that error.", "set: {words: $error.message}"},
	{"$pipeline", "The name of the job.", "set: {job: $pipeline}"},
}
