package expr
import ("testing";"fmt")
func TestProbe(t *testing.T){
 for _, s := range []string{`amount > 100 AND status = "paid"`,`lower(city == "x"`,`$ts > 10min`,`any(items, i -> i.qty > 10)`,`contains(name, "x")`,`status <> "paid"`,`amount between 1 and 5`,`status = "paid"`,
 `if(amount > 100, "big", "small")`,`count(items, .qty > 10)`,`f"order {id}"`,`amount ?? 0 > 1`,`name.trim()`,`reduce(items,#acc + .qty, 0)`,`$ts - 10m`,`name + "`,`max_by(price`,`a > ${K:-100}`,
 `a; b`,`let x = 1; x; b`,`::len(x)`,``,`  `,`a.`,`a."x"`,`99999999999999999999 + 1`,`1 + 99999999999999999999`,`x in (1, 2)`,`filter(x)`,`sum(a,b,c)`,`x + )`,`"\d"`,`a /* x`,`name like "a%"`,`x is null`,`case when a then b end`, `any(a, any(b, any(c, any(d, true))))`, `a.b.c?.d["e"]`,`not x not in [1]`,`{"a": 1, (b): 2}`,`[1,2][0]`,`x | trim() | lower()`,`a ? b : c`,`if a { b } else if c { d } else { e }`,`0 < x <= 10`, `b"\xff"`,`x[1:]`,`"a" + 'b'`, `1 + 0x1F`, `x => x.y`, `ä + ü ö`,`{`,`null`,`foo(`, `any(xs, # > 10 and #index < 2)`} {
  tr, ps := Parse(s)
  if len(ps)>0 { for _, p := range ps { fmt.Printf("%-40s %d-%d %s | %s\n", s, p.Start,p.End,p.Message,p.Hint)} } else { a,b := tr.span(tr.root); fmt.Printf("%-40s ok %q span %d %d\n", s, tr.Normal(),a,b) }
 }
 fmt.Println(ParseTemplate(`a {x | f({a: "}"})} {{b}} ü{y}`))
 fmt.Println(ParseTemplate(`a {x`))
}
