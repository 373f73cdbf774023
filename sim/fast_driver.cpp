// Drives one Verilated core: whole sequences a call. Nothing is compared here; every event goes to
// a log, in order, which sim/fast.py hands to the comparison. Built with every core as it is.
#include "Vcore.h"
#include "verilated.h"
#if VM_COVERAGE
#include "Vcore___024root.h"
#include "verilated_cov.h"
void Vcore___024root___eval_settle(Vcore___024root *);
#endif

#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

extern "C" {

// sim.traffic.Pattern, and its spell: cycles left, and which it is.
struct Gate {
    uint64_t shut_least, shut_spread, open_least, open_spread, chance, follows;
    uint64_t left, open;
};

// Mirrored by sim.fast_run.Run: all fields have 8 bytes. Python owns the memory behind the pointers.
struct Run {
    // what to do
    const uint64_t *in_data;  // words as limbs of 64 bits, here and in the logs
    const uint8_t *in_last;
    uint64_t in_count;
    uint64_t src_density, snk_density;  // of 256, for a pause of up to 7 cycles
    uint64_t long_density, long_mask;   // of 65536, for a pause of up to long_mask cycles
    uint64_t patterned;                 // the gates hold, and nothing of the above
    uint64_t stop_at, stop_cycles;      // then a pause of the source, before this word
    Gate src, snk;
    uint64_t capacity;                  // records that each log holds
    uint64_t max_cycles, quiet_limit;
    // logs; a call returns when one is full, and the next call starts them anew
    uint64_t *out_data, *out_keep, *out_last, *h_index, *h_data, *c_index, *c_data, *step;
    uint64_t out_count, h_count, c_count, step_count;
    // state of the pass
    uint64_t random, src_left, snk_left;
    uint64_t accepted, emitted, cycle, still, first_in, last_out;
    uint64_t offered, violations;
    uint64_t status_errors, status_saturations, idle, status_faults;
    uint64_t first_fault;               // cycle behind the first one that told of one, or 0
};

}  // extern "C"

namespace {

template <typename Top> auto keep_of(const Top &top) {
    if constexpr (requires { top.m_axis_tkeep; }) {
        return std::remove_cvref_t<decltype(top.m_axis_tkeep)>{top.m_axis_tkeep};
    } else {
        return CData{1};
    }
}

// What a protected core has found wrong.
template <typename Top> uint64_t faults_of(const Top &top) {
    if constexpr (requires { top.status_faults; }) {
        return top.status_faults;
    } else {
        return 0;
    }
}

// An output word that is offered.
struct Offer {
    std::remove_cvref_t<decltype(Vcore::m_axis_tdata)> data;
    decltype(keep_of(std::declval<Vcore>())) keep;
    CData last;
};

template <typename Port> bool differ(const Port &a, const Port &b) {
    return std::memcmp(&a, &b, sizeof(Port)) != 0;
}

// A port is an integer of up to 64 bits, or an array of 32 bits each.
template <typename Port> constexpr uint64_t limbs = (sizeof(Port) + 7) / 8;

template <typename Port> void record(uint64_t *log, uint64_t at, const Port &port) {
    if constexpr (std::is_integral_v<Port>) {
        log[at] = port;
    } else {
        std::memcpy(log + at * limbs<Port>, port.data(), sizeof(Port));
    }
}

// Word `at`, or, of all bits, the opposite.
template <typename Port> void offer(Port &port, const uint64_t *words, uint64_t at, bool right) {
    const uint64_t flip = right ? 0 : ~uint64_t{0};
    const uint64_t *word = words + at * limbs<Port>;
    if constexpr (std::is_integral_v<Port>) {
        port = (*word ^ flip) & (~uint64_t{0} >> (64 - S_WIDTH));
    } else {
        for (size_t k = 0; k < port.size(); ++k) {
            port[k] = static_cast<EData>((word[k / 2] ^ flip) >> (k % 2 * 32));
        }
        port[port.size() - 1] &= ~EData{0} >> ((32 - S_WIDTH % 32) % 32);
    }
}

// What a model built for it leaves open is random by the seed; 0: zero.
VerilatedContext *start(VerilatedContext &context, int seed) {
    context.randReset(seed ? 2 : 0);
    context.randSeed(seed);
    return &context;
}

}  // namespace

extern "C" {

struct Sim {
    VerilatedContext context;
    Vcore top;
    Offer before;
    explicit Sim(int seed) : top{start(context, seed), ""} {}
};

}  // extern "C"

namespace {

// Cycles until the word after this cycle may be offered, or taken.
uint64_t pause(const Run &r, uint64_t left, bool word, bool idle_too, uint64_t density,
               uint64_t dice) {
    if (left) return left - 1;
    if (word && (dice >> 8 & 0xffff) < r.long_density) return r.random >> 48 & r.long_mask;
    if ((word || idle_too) && (dice & 0xff) < density) return r.random >> 56 & 7;
    return 0;
}

// Whether a pattern lets the next cycle pass; `other`: the other side was seen in this one.
bool opens(Gate &gate, bool other, uint64_t dice) {
    if (gate.follows) return other;
    if (gate.chance) return (dice & 0xffff) < gate.chance;
    if (!gate.shut_least) return true;
    if (!gate.left) {
        gate.open = !gate.open;
        gate.left = gate.open ? gate.open_least + (dice & gate.open_spread)
                              : gate.shut_least + (dice & gate.shut_spread);
    }
    --gate.left;
    return gate.open;
}

enum class Traffic { Free, Paused, Patterned };

// A copy of `run` in registers: the model's own memory may not alias it then.
template <Traffic traffic> void cycles(Sim &sim, Run &run) {
    constexpr bool free = traffic == Traffic::Free;
    Vcore &top = sim.top;
    Run r = run;
    Offer before = sim.before;
    while (r.cycle < r.max_cycles && r.still < r.quiet_limit && r.out_count < r.capacity
           && r.h_count < r.capacity && r.c_count < r.capacity && r.step_count < r.capacity) {
        const bool valid = r.accepted < r.in_count && (free || !r.src_left);
        const bool ready = free || !r.snk_left;
        // The core must not look at a word that is not offered: what stands there is wrong.
        top.clk = 0;
        top.s_axis_tvalid = valid;
        offer(top.s_axis_tdata, r.in_data, r.accepted, valid);
        top.s_axis_tlast = r.in_last[r.accepted] == valid;
        top.m_axis_tready = ready;
        top.eval();

        const bool accept = valid && top.s_axis_tready;
        const bool emit = top.m_axis_tvalid && ready;
        bool event = accept;
        if (top.m_axis_tvalid) {
            const Offer now{top.m_axis_tdata, keep_of(top), top.m_axis_tlast};
            if (r.offered) {
                r.violations |= differ(now.data, before.data) << 1
                                | differ(now.last, before.last) << 2
                                | differ(now.keep, before.keep) << 3;
            }
            if (emit) {
                record(r.out_data, r.out_count, now.data);
                record(r.out_keep, r.out_count, now.keep);
                r.out_last[r.out_count++] = now.last;
                r.last_out = r.cycle;
                ++r.emitted;
                event = true;
            }
            r.offered = !emit;
            before = now;
        } else {
            r.violations |= r.offered;
            r.offered = 0;
        }
        if (top.trace_h_valid) {
            r.h_index[r.h_count] = top.trace_h_index;
            record(r.h_data, r.h_count++, top.trace_h_data);
            event = true;
        }
        if (top.trace_c_valid) {
            r.c_index[r.c_count] = top.trace_c_index;
            record(r.c_data, r.c_count++, top.trace_c_data);
            event = true;
        }
        if (top.trace_step) {
            r.step[r.step_count++] = r.cycle;
            event = true;
        }
        if (accept && r.accepted++ == 0) r.first_in = r.cycle;
        if (!free) {
            r.random ^= r.random << 13;
            r.random ^= r.random >> 7;
            r.random ^= r.random << 17;
        }
        if (traffic == Traffic::Paused) {
            r.src_left = pause(r, r.src_left, accept, false, r.src_density, r.random);
            r.snk_left = pause(r, r.snk_left, emit, true, r.snk_density, r.random >> 24);
        }
        if (traffic == Traffic::Patterned) {
            const bool may = opens(r.src, top.s_axis_tready && !accept, r.random);
            const bool waits = valid && !accept;  // what is offered stays offered
            const bool stops = accept && r.accepted == r.stop_at;
            r.src_left = stops ? r.stop_cycles : r.src_left > 1 ? r.src_left - 1 : !(may || waits);
            r.snk_left = !opens(r.snk, top.m_axis_tvalid && !emit, r.random >> 24);
        }
        r.still = event ? 0 : r.still + 1;
        ++r.cycle;
        if (!r.first_fault && faults_of(top)) r.first_fault = r.cycle;
        top.clk = 1;
        top.eval();
    }
    r.status_errors = top.status_errors;
    r.status_saturations = top.status_saturations;
    r.idle = top.idle;
    r.status_faults = faults_of(top);
    run = r;
    sim.before = before;
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) uint64_t gw_size() { return sizeof(Run); }

__attribute__((visibility("default"))) Sim *gw_new(int seed) {
    Sim *sim = new Sim{seed};
#if VM_COVERAGE
    sim->top.eval();
#endif
    return sim;
}

__attribute__((visibility("default"))) void gw_free(Sim *sim) {
    sim->top.final();
    delete sim;
}

#ifdef SELECT
// An input beside the core's own, at one value for all that the model does.
__attribute__((visibility("default"))) void gw_select(Sim *sim, uint32_t value) {
    sim->top.SELECT = value;
}
#endif

// One cycle of reset with both streams at rest.
__attribute__((visibility("default"))) void gw_reset(Sim *sim) {
    Vcore &top = sim->top;
    top.clk = 0;
    top.rst = 1;
    top.s_axis_tvalid = 0;
    top.m_axis_tready = 0;
    top.eval();
    top.clk = 1;
    top.eval();
    top.rst = 0;
}

#if VM_COVERAGE
// All counts since the core was made, to a file.
__attribute__((visibility("default"))) void gw_coverage(Sim *sim, const char *path) {
    sim->context.coveragep()->write(path);
}

// As if so many had been counted: no run is long enough for the counters' highest bits.
__attribute__((visibility("default"))) void gw_preset(Sim *sim, uint64_t errors,
                                                      uint64_t saturations) {
    sim->top.status_errors = errors;
    sim->top.status_saturations = saturations;
    // Nobody else writes registers: what hangs on them is not computed anew by itself.
    Vcore___024root___eval_settle(sim->top.rootp);
    sim->top.eval();
}
#endif

__attribute__((visibility("default"))) void gw_run(Sim *sim, Run *run) {
    run->out_count = run->h_count = run->c_count = run->step_count = 0;
    if (run->patterned) {
        cycles<Traffic::Patterned>(*sim, *run);
    } else if (run->src_density | run->snk_density | run->long_density) {
        cycles<Traffic::Paused>(*sim, *run);
    } else {
        cycles<Traffic::Free>(*sim, *run);
    }
}

}  // extern "C"
