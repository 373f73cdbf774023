// Behaviour of the iCE40 UltraPlus blocks that the generator instantiates, as far as it uses them:
// awake, chip selected. Source: the iCE40 UltraPlus family's SPRAM usage guide.

// 16384 words of 16 bits, one port. The output register holds what was read; a write leaves it
// undefined, here all ones, so that nobody comes to rely on it.
module SB_SPRAM256KA (
    input  wire [13:0] ADDRESS,
    input  wire [15:0] DATAIN,
    input  wire [3:0]  MASKWREN,
    input  wire        WREN,
    input  wire        CHIPSELECT,
    input  wire        CLOCK,
    input  wire        STANDBY,
    input  wire        SLEEP,
    input  wire        POWEROFF,
    output reg  [15:0] DATAOUT
);
    reg [15:0] memory [0:16383];
    wire [15:0] mask = {{4{MASKWREN[3]}}, {4{MASKWREN[2]}}, {4{MASKWREN[1]}}, {4{MASKWREN[0]}}};
    wire awake = CHIPSELECT & POWEROFF & ~SLEEP & ~STANDBY;
    always @(posedge CLOCK)
        if (awake & WREN) begin
            memory[ADDRESS] <= (memory[ADDRESS] & ~mask) | (DATAIN & mask);
            DATAOUT <= 16'hFFFF;
        end else if (awake)
            DATAOUT <= memory[ADDRESS];
endmodule
