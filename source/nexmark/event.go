package nexmark

import (
	"math/bits"
	"strconv"

	"kstream/record"
)

var (
	firstNames = [...]string{"Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"}
	lastNames  = [...]string{"Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"}
	cities     = [...]string{"Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"}
	states     = [...]string{"AZ", "CA", "ID", "OR", "WA", "WY"}
	hot        = [...]string{"Google", "Facebook", "Baidu", "Apple"}
)

// coldChannels have a number instead of a name.
const coldChannels = 10_000

func (g *Generator) person(dst []byte, s *stream, n int64, at record.Timestamp) []byte {
	dst = append(dst, `{"event_type":0,"person":{"id":`...)
	dst = strconv.AppendInt(dst, firstID+g.lastPerson(n), 10)

	dst = append(dst, `,"name":"`...)
	begin := len(dst)
	dst = append(dst, firstNames[s.below(int64(len(firstNames)))]...)
	dst = append(dst, ' ')
	dst = append(dst, lastNames[s.below(int64(len(lastNames)))]...)
	texts := len(dst) - begin

	dst = append(dst, `","emailAddress":"`...)
	begin = len(dst)
	dst = s.appendText(dst, 7, ' ')
	dst = append(dst, '@')
	dst = s.appendText(dst, 5, ' ')
	dst = append(dst, ".com"...)
	texts += len(dst) - begin

	dst = append(dst, `","creditCard":"`...)
	begin = len(dst)
	for i := range 4 {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendDigits(dst, s.below(10_000), 4)
	}
	texts += len(dst) - begin

	city := cities[s.below(int64(len(cities)))]
	state := states[s.below(int64(len(states)))]
	texts += len(city) + len(state)
	dst = append(append(dst, `","city":"`...), city...)
	dst = append(append(dst, `","state":"`...), state...)
	dst = append(dst, `","dateTime":"`...)
	dst = g.clock.append(dst, at)
	dst = append(dst, `","extra":"`...)
	dst = g.appendExtra(dst, s, int64(8+texts), 200)
	return append(dst, `"},"auction":null,"bid":null}`...)
}

func (g *Generator) auction(dst []byte, s *stream, n int64, at record.Timestamp) []byte {
	seller := firstID + g.lastPerson(n)/hotBlock*hotBlock
	if s.below(4) == 0 {
		seller = firstID + g.someone(s, n)
	}
	category := firstCategory + s.below(5)
	initial := s.price()
	// As long as it takes until a hundred more auctions are open, on average.
	half := int64(g.Time(n+activeAuctions*g.total/g.o.AuctionProportion) - at)
	expires := at + 1 + record.Timestamp(s.below(max(2*half, 1)))

	dst = append(dst, `{"event_type":1,"person":null,"auction":{"id":`...)
	dst = strconv.AppendInt(dst, firstID+g.lastAuction(n), 10)
	dst = append(dst, `,"itemName":"`...)
	begin := len(dst)
	dst = s.appendText(dst, 20, ' ')
	texts := len(dst) - begin
	dst = append(dst, `","description":"`...)
	begin = len(dst)
	dst = s.appendText(dst, 100, ' ')
	texts += len(dst) - begin
	reserve := initial + s.price()

	dst = append(dst, `","initialBid":`...)
	dst = strconv.AppendInt(dst, initial, 10)
	dst = append(dst, `,"reserve":`...)
	dst = strconv.AppendInt(dst, reserve, 10)
	dst = append(dst, `,"dateTime":"`...)
	dst = g.clock.append(dst, at)
	dst = append(dst, `","expires":"`...)
	dst = g.clock.append(dst, expires)
	dst = append(dst, `","seller":`...)
	dst = strconv.AppendInt(dst, seller, 10)
	dst = append(dst, `,"category":`...)
	dst = strconv.AppendInt(dst, category, 10)
	dst = append(dst, `,"extra":"`...)
	dst = g.appendExtra(dst, s, int64(48+texts), 500)
	return append(dst, `"},"bid":null}`...)
}

func (g *Generator) bid(dst []byte, s *stream, n int64, at record.Timestamp) []byte {
	auction := firstID + g.lastAuction(n)/hotBlock*hotBlock
	if s.below(2) == 0 {
		auction = firstID + g.someAuction(s, n)
	}
	bidder := firstID + g.lastPerson(n)/hotBlock*hotBlock + 1
	if s.below(4) == 0 {
		bidder = firstID + g.someone(s, n)
	}
	price := s.price()
	var channel int64
	if s.below(2) > 0 {
		channel = coldChannels + s.below(int64(len(hot)))
	} else {
		channel = s.below(coldChannels)
	}

	dst = append(dst, `{"event_type":2,"person":null,"auction":null,"bid":{"auction":`...)
	dst = strconv.AppendInt(dst, auction, 10)
	dst = append(dst, `,"bidder":`...)
	dst = strconv.AppendInt(dst, bidder, 10)
	dst = append(dst, `,"price":`...)
	dst = strconv.AppendInt(dst, price, 10)
	p := g.channels[channel]
	dst = append(dst, g.pieces[p.begin:p.end]...)
	dst = g.clock.append(dst, at)
	dst = append(dst, `","extra":"`...)
	dst = g.appendExtra(dst, s, 32, 100)
	return append(dst, `"}}`...)
}

// makeChannels writes, once for each channel, what stands in a bid between its
// price and its time.
func (g *Generator) makeChannels(key uint64) {
	for i := range int64(coldChannels + len(hot)) {
		s := stream(mix(key + uint64(i)))
		begin := len(g.pieces)
		dst := append(g.pieces, `,"channel":"`...)
		if i < coldChannels {
			dst = append(dst, "channel-"...)
			dst = strconv.AppendInt(dst, i, 10)
		} else {
			dst = append(dst, hot[i-coldChannels]...)
		}
		dst = append(dst, `","url":"`...)
		dst = s.appendURL(dst)
		if i < coldChannels && s.below(10) > 0 {
			dst = append(dst, "&channel_id="...)
			dst = strconv.AppendInt(dst, channelID(uint32(i)), 10)
		}
		g.pieces = append(dst, `","dateTime":"`...)
		g.channels = append(g.channels, piece{int32(begin), int32(len(g.pieces))})
	}
}

func (s *stream) appendURL(dst []byte) []byte {
	dst = append(dst, "https://www.nexmark.com/"...)
	for range 3 {
		dst = s.appendText(dst, 5, '_')
		dst = append(dst, '/')
	}
	return append(dst, "item.htm?query=1"...)
}

// channelID is the bits of a channel's number from back to front, without sign.
func channelID(i uint32) int64 {
	id := int64(int32(bits.Reverse32(i)))
	return max(id, -id)
}

// appendExtra fills an event up to about its average size.
func (g *Generator) appendExtra(dst []byte, s *stream, size, average int64) []byte {
	if size > average {
		return dst
	}
	d := average - size
	delta := (2*d + 5) / 10
	size = d - delta
	if delta > 0 {
		size += s.below(2 * delta)
	}
	offset := s.below(poolSize - size)
	text := g.pool[offset : offset+size]
	if !g.o.Escapes {
		return append(dst, text...)
	}
	for _, c := range text {
		if c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return dst
}

// appendDigits writes a number with leading zeros.
func appendDigits(dst []byte, v int64, width int) []byte {
	for range width {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; v > 0; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
	return dst
}
