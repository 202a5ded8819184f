package checkpoint

// The tags of a node of the plan.
const (
	nodeUID      = iota + 1 // text
	nodeOperator            // text
	nodeLayout              // whole number
	nodeKeyType             // text
	nodeText                // text
	nodeWindow              // text
	nodeKey                 // text
	nodePart                // list
	nodeTTL                 // text
	nodeBefore              // text
)

func appendPlan(b []byte, p Fingerprint) []byte {
	b = appendInt(b, 1, int64(p.MaxParallelism))
	b = appendList(b, 2, p.Nodes, func(b []byte, n NodePrint) []byte {
		b = appendText(b, nodeUID, n.UID)
		b = appendText(b, nodeOperator, n.Operator)
		b = appendInt(b, nodeLayout, int64(n.Layout))
		b = appendText(b, nodeKeyType, n.KeyType)
		b = appendText(b, nodeText, n.Text)
		b = appendText(b, nodeWindow, n.Window)
		b = appendText(b, nodeKey, n.Key)
		b = appendList(b, nodePart, n.Parts, func(b []byte, p PartPrint) []byte {
			b = appendText(appendText(b, 1, p.Name), 2, p.Text)
			return appendInt(appendInt(b, 3, int64(p.Size)), 4, int64(p.Beside))
		})
		return appendText(appendText(b, nodeTTL, n.TTL), nodeBefore, n.Before)
	})
	return appendList(b, 3, p.Ends, func(b []byte, e EndPrint) []byte {
		return appendText(appendYes(appendText(appendText(b, 1, e.UID), 2, e.Text), 3, e.Source), 4, e.Hash)
	})
}

func readPlan(outer *fieldReader, p *Fingerprint) {
	r := outer.message()
	for r.next() {
		switch r.tag {
		case 1:
			p.MaxParallelism = r.count()
		case 2:
			p.Nodes = readInto(r, p.Nodes, maxNodes, readNode)
		case 3:
			p.Ends = readInto(r, p.Ends, maxNodes, readEnd)
		}
	}
	outer.done(r)
}

func readNode(r *fieldReader) (n NodePrint) {
	for r.next() {
		switch r.tag {
		case nodeUID:
			n.UID = r.text()
		case nodeOperator:
			n.Operator = r.text()
		case nodeLayout:
			n.Layout = r.count()
		case nodeKeyType:
			n.KeyType = r.text()
		case nodeText:
			n.Text = r.text()
		case nodeWindow:
			n.Window = r.text()
		case nodeKey:
			n.Key = r.text()
		case nodePart:
			n.Parts = readInto(r, n.Parts, maxNodes, readPartPrint)
		case nodeTTL:
			n.TTL = r.text()
		case nodeBefore:
			n.Before = r.text()
		}
	}
	return n
}

func readPartPrint(r *fieldReader) (p PartPrint) {
	for r.next() {
		switch r.tag {
		case 1:
			p.Name = r.text()
		case 2:
			p.Text = r.text()
		case 3:
			p.Size = r.count()
		case 4:
			p.Beside = r.count()
		}
	}
	return p
}

func readEnd(r *fieldReader) (e EndPrint) {
	for r.next() {
		switch r.tag {
		case 1:
			e.UID = r.text()
		case 2:
			e.Text = r.text()
		case 3:
			e.Source = r.yes()
		case 4:
			e.Hash = r.text()
		}
	}
	return e
}
